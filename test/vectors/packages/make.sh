#!/bin/sh
# Makes the databases in this directory again. Needs sqlite3; the rows are the same every time.
set -eu
cd "$(dirname "$0")"
rm -f rows.sqlite headers.sqlite

# Pages of 512 bytes: the table has levels of pages above its rows, and rows that go on in other pages.
sqlite3 rows.sqlite <<'SQL'
pragma page_size = 512;
create table Kinds (a, b, c, d, e, f, g, h, i, j);
insert into Kinds values (null, 0, 1, 100, 1000, 100000, 10000000000, 5000000000000000, 1.5, 'text');
create table Rows (number integer primary key, value blob not null);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60)
  insert into Rows select i * 3, cast(printf('%.*c', i * 20, char(64 + i % 26)) as blob) from n;
insert into Rows values (4611686018427387904, x'ff');
SQL

# As rpm keeps its packages: headers of bash 5.2-1.fc40 (x86_64) and shadow 2:4.15-2 (noarch), and a row of none.
sqlite3 headers.sqlite <<'SQL'
pragma page_size = 512;
create table Packages (hnum integer primary key autoincrement, blob blob not null);
insert into Packages (blob) values
  (x'0000000400000017000003e8000000060000000000000001000003e9000000060000000500000001000003ea000000060000000900000001000003fe0000000600000010000000016261736800352e3200312e66633430007838365f363400'),
  (x'000000050000001b000003e8000000060000000000000001000003e9000000060000000700000001000003ea000000060000000c00000001000003eb000000040000001000000001000003fe000000060000001400000001736861646f7700342e31350032000000000000026e6f6172636800'),
  (x'');
SQL

#!/bin/sh
# make.sh: makes the certificates in this directory anew, with openssl: an authority of the kind that signs short-lived
# certificates for code, one between it and the leaves, and leaves that are right and wrong. The keys are for tests only.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }

# issue NAME SUBJECT KEY ISSUER FROM TO: signs what $work/extensions.cnf says; ISSUER "" is the key itself
issue() {
  : >"$work/index.txt"
  printf '[ca]\ndatabase=%s\nnew_certs_dir=%s\ndefault_md=sha256\npolicy=any\nrand_serial=yes\nunique_subject=no\n[any]\ncommonName=optional\n[extensions]\n' \
    "$work/index.txt" "$work" | cat - "$work/extensions.cnf" >"$work/ca.cnf"
  openssl req -new -key "$3.key" -subj "$2" -out "$work/$1.csr"
  if [ -z "$4" ]; then by="-selfsign -keyfile $3.key"; else by="-cert $4.pem -keyfile $4.key"; fi
  # shellcheck disable=SC2086 # a list of words on purpose
  openssl ca -batch -notext -config "$work/ca.cnf" -name ca -extensions extensions $by -startdate "$5" -enddate "$6" \
    -in "$work/$1.csr" -out "$1.pem" 2>"$work/log" || { cat "$work/log" && exit 1; }
}

# authority NAME SUBJECT ISSUER [EXTENSIONS...]
authority() {
  key "$1"
  name=$1 subject=$2 issuer=$3 && shift 3
  printf '%s\n' "keyUsage=critical,keyCertSign" "${constraints:-basicConstraints=critical,CA:TRUE}" "$@" >"$work/extensions.cnf"
  issue "$name" "/CN=$subject" "$name" "$issuer" 20260101000000Z 20360101000000Z
}

# leaf NAME EXTENSIONS...: ten minutes of 2026-06-15
leaf() {
  name=$1 && shift
  printf '%s\n' "keyUsage=critical,digitalSignature" "$@" >"$work/extensions.cnf"
  issue "$name" / leaf "${by_authority:-between}" 20260615120000Z 20260615121000Z
}

email=subjectAltName=critical,email:builder@example.com
signing=extendedKeyUsage=codeSigning
raw=1.3.6.1.4.1.57264.1.1=DER:$(printf 'https://login.example' | od -An -tx1 | tr -d ' \n')
text=1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:https://login.example
# a byte order mark before the same, which is another text
marked=1.3.6.1.4.1.57264.1.1=DER:EFBBBF${raw#*DER:}
other=1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:https://other.example

authority root "test authority" ""
authority between "test authority between" root
authority stranger "another authority" ""
key leaf
# authorities that are there for something else, or not for everybody, or may have nobody below them
authority tls "for servers only" root extendedKeyUsage=serverAuth
authority code "for code" root extendedKeyUsage=codeSigning
authority any "for anything" root extendedKeyUsage=anyExtendedKeyUsage
authority named "for some names" root "nameConstraints=critical,permitted;email:.other.example"
authority odd "with something unknown" root 1.2.3.4=critical,ASN1:NULL
constraints=basicConstraints=critical,CA:TRUE,pathlen:0 authority last "with nobody below" root
authority below "below the last" last
for by_authority in tls code any named odd last below; do leaf "leaf-of-$by_authority" "$signing" "$email" "$raw"; done
by_authority=between
leaf leaf "$signing" "$email" "$raw" "$text"
leaf leaf-raw "$signing" "$email" "$raw"
leaf leaf-text "$signing" "$email" "$text"
leaf leaf-critical "$signing" "$email" "1.3.6.1.4.1.57264.1.8=critical,ASN1:UTF8String:https://login.example"
leaf leaf-two-issuers "$signing" "$email" "$raw" "$other"
leaf leaf-marked-issuer "$signing" "$email" "$marked"
leaf leaf-odd-issuer "$signing" "$email" "1.3.6.1.4.1.57264.1.8=ASN1:INTEGER:7"
leaf leaf-no-issuer "$signing" "$email"
leaf leaf-no-email "$signing" "$raw"
leaf leaf-other-use extendedKeyUsage=serverAuth "$email" "$raw"
leaf leaf-no-use "$email" "$raw"
# keys that OpenSSL checks no such signature with
printf '%s\n' "$signing" "$email" "$raw" >"$work/extensions.cnf"
for kind in x25519 x448 ed448; do
  openssl genpkey -algorithm "$kind" | openssl pkey -pubout -out "$work/$kind.pub"
  openssl req -new -key leaf.key -subj / -out "$work/$kind.csr"
  openssl x509 -req -in "$work/$kind.csr" -force_pubkey "$work/$kind.pub" -CA between.pem -CAkey between.key -days 3650 \
    -extfile "$work/extensions.cnf" -out "leaf-$kind.pem"
done
for name in root between stranger tls code any named odd last below; do rm "$name.key"; done

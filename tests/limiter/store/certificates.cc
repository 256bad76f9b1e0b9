#include "tests/limiter/store/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace deferd {

struct FreeOpenSsl {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeOpenSsl>;

namespace {

void Must(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "certificates: %s failed\n", what);
  std::abort();
}

using Certificate = std::unique_ptr<X509, FreeOpenSsl>;
using File = std::unique_ptr<std::FILE, FreeOpenSsl>;

void Extend(X509* certificate, int kind, const std::string& value) {
  const std::unique_ptr<X509_EXTENSION, FreeOpenSsl> extension(
      X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()));
  Must(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1, "an extension");
}

void Name(X509_NAME* name, const std::string& text) {
  Must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1,
                                  0) == 1,
       "a name");
}

Certificate NewCertificate(EVP_PKEY* key, const std::string& name, const std::string& issuer,
                           int serial, absl::Duration from, absl::Duration until) {
  Certificate made(X509_new());
  Must(made != nullptr && X509_set_version(made.get(), 2) == 1 &&
           ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(made.get()), absl::ToInt64Seconds(from)) &&
           X509_gmtime_adj(X509_getm_notAfter(made.get()), absl::ToInt64Seconds(until)) &&
           X509_set_pubkey(made.get(), key) == 1,
       "a certificate");
  Name(X509_get_subject_name(made.get()), name);
  Name(X509_get_issuer_name(made.get()), issuer);
  return made;
}

void Write(const std::string& path, X509* certificate) {
  const File file(std::fopen(path.c_str(), "w"));
  Must(file != nullptr && PEM_write_X509(file.get(), certificate) == 1, "writing");
}

void Write(const std::string& path, EVP_PKEY* key) {
  const File file(std::fopen(path.c_str(), "w"));
  Must(file != nullptr &&
           PEM_write_PrivateKey(file.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
       "writing");
}

}  // namespace

struct Authority::Signer {
  std::string name;
  Key key;
};

Authority::Authority(const std::string& name) {
  char folder[] = "/tmp/deferd-tls-XXXXXX";
  Must(mkdtemp(folder) != nullptr, "a folder");
  folder_ = folder;
  signer_ = std::make_unique<Signer>(Signer{name, Key(EVP_EC_gen("P-256"))});
  Must(signer_->key != nullptr, "a key");
  const Certificate own = NewCertificate(signer_->key.get(), name, name, 1, -absl::Hours(24 * 365),
                                         absl::Hours(24 * 365));
  Extend(own.get(), NID_basic_constraints, "critical,CA:TRUE");
  Extend(own.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  Must(X509_sign(own.get(), signer_->key.get(), EVP_sha256()) > 0, "signing");
  Write(ca_file(), own.get());
}

Authority::~Authority() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Authority::ca_file() const { return folder_ + "/ca.pem"; }

Authority::Files Authority::Sign(const Wish& wish) {
  ++signed_;
  const Files files = {absl::StrCat(folder_, "/", signed_, ".pem"),
                       absl::StrCat(folder_, "/", signed_, ".key")};
  const Key key(EVP_EC_gen("P-256"));
  Must(key != nullptr, "a key");
  const Certificate made = NewCertificate(key.get(), absl::StrCat("certificate ", signed_),
                                          signer_->name, signed_ + 1, wish.from, wish.until);
  Extend(made.get(), NID_basic_constraints, "CA:FALSE");
  if (!wish.names.empty()) Extend(made.get(), NID_subject_alt_name, wish.names);
  Must(X509_sign(made.get(), signer_->key.get(), EVP_sha256()) > 0, "signing");
  Write(files.cert, made.get());
  Write(files.key, key.get());
  return files;
}

}  // namespace deferd

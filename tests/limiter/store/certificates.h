// Certificates for tests of TLS, made on the spot: an authority and what it signs, as PEM files in
// a folder of its own that goes with the object. Made with OpenSSL; a failure of OpenSSL ends the
// test program.

#ifndef DEFERD_TESTS_LIMITER_STORE_CERTIFICATES_H_
#define DEFERD_TESTS_LIMITER_STORE_CERTIFICATES_H_

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace deferd {

class Authority {
 public:
  explicit Authority(const std::string& name = "deferd test authority");
  ~Authority();

  struct Wish {
    std::string names = "DNS:localhost,IP:127.0.0.1";  // as OpenSSL writes subjectAltName
    absl::Duration from = -absl::Hours(1);             // from now
    absl::Duration until = absl::Hours(24);
  };
  struct Files {
    std::string cert;
    std::string key;
  };
  // Another certificate with a key of its own.
  Files Sign(const Wish& wish);
  Files Sign() { return Sign(Wish()); }

  std::string ca_file() const;

 private:
  struct Signer;

  std::string folder_;
  std::unique_ptr<Signer> signer_;
  int signed_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_CERTIFICATES_H_

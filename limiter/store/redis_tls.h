// TLS to a Redis, by OpenSSL, over a connected socket that does not block.
//
// TLS 1.2 or newer. The server's certificate, its dates and its name are always verified;
// renegotiation is refused. Every failure is a status of kTls (shared_trouble.h) that says which
// certificate or setting is wrong and what to do, or of kGone if the server closed the connection.
//
//   auto session = TlsSession::Start(fd, tls, "redis.example");
//   while (session->Handshake() == TlsSession::Step::kWaitRead) ...   // then Read and Write
//
// A session does not own the socket, and must end before it. Confined to one thread.

#ifndef DEFERD_LIMITER_STORE_REDIS_TLS_H_
#define DEFERD_LIMITER_STORE_REDIS_TLS_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/store/redis_address.h"

struct ssl_st;

namespace deferd {

// Whether the files can be used as they are now. InvalidArgument names the file.
absl::Status CheckTlsCa(const std::string& ca_file);
absl::Status CheckTlsCertificate(const std::string& cert_file, const std::string& key_file);

// kTls: that a server without TLS is there.
absl::Status NoTlsThere();

class TlsSession {
 public:
  // kDone: the handshake is complete, or bytes moved. kWaitRead, kWaitWrite: call again as soon as
  // the socket can be read or written. kFailed: status() says why; the session is over.
  enum class Step { kDone, kWaitRead, kWaitWrite, kFailed };

  // `host`: the name or address that was connected to.
  static absl::StatusOr<std::unique_ptr<TlsSession>> Start(int fd, const RedisTls& tls,
                                                           const std::string& host);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  // Tells the server that this is the end, unless the session failed. Does not wait.
  ~TlsSession();

  Step Handshake();
  Step Read(char* buffer, size_t size, size_t* got);
  Step Write(absl::string_view bytes, size_t* put);

  // Whether the server has sent anything yet.
  bool heard() const;
  const absl::Status& status() const { return status_; }

  // What the verification found wrong with the server's certificate; empty: nothing. OpenSSL's
  // callback writes it.
  std::string* refused() { return &refused_; }
  const RedisTls& tls() const { return tls_; }
  const std::string& name() const { return name_; }  // that the certificate must hold

 private:
  TlsSession(const RedisTls& tls, const std::string& host);

  Step After(int result);

  const RedisTls tls_;
  const std::string name_;
  std::string refused_;
  ssl_st* ssl_ = nullptr;
  absl::Status status_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_TLS_H_

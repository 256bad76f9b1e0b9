#include "limiter/store/redis_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "limiter/store/shared_trouble.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMostNames = 5;  // of a certificate, in a text

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;

// The first error that OpenSSL remembers, which is the cause; forgets all.
std::string Reason() {
  const unsigned long error = ERR_peek_error();
  ERR_clear_error();
  if (error == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
  const char* reason = ERR_reason_error_string(error);
  return reason == nullptr ? "unknown error" : reason;
}

// Nobody is there to type the password of a key.
int NoPassphrase(char*, int, int, void*) { return -1; }

Context NewContext() {
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return context;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(context.get(), NoPassphrase);
  return context;
}

absl::Status UseCa(SSL_CTX* context, const std::string& ca_file) {
  if (ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("the system's authorities: ", Reason()));
  }
  if (SSL_CTX_load_verify_file(context, ca_file.c_str()) == 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(ca_file, ": no certificates in PEM form that deferd can read: ", Reason()));
}

absl::Status UseCertificate(SSL_CTX* context, const std::string& cert_file,
                            const std::string& key_file) {
  if (cert_file.empty()) return absl::OkStatus();
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(cert_file, ": no certificate in PEM form that deferd can read: ", Reason()));
  }
  const std::string& key = key_file.empty() ? cert_file : key_file;
  const bool read = SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1;
  if (read && SSL_CTX_check_private_key(context) == 1) return absl::OkStatus();
  const unsigned long error = ERR_peek_last_error();
  const bool other =
      ERR_GET_LIB(error) == ERR_LIB_X509 && ERR_GET_REASON(error) == X509_R_KEY_VALUES_MISMATCH;
  if (read || other) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat(key, ": is not the key of the certificate in ", cert_file));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      key, ": no private key in PEM form, without a passphrase, that deferd can read: ", Reason()));
}

std::string NameText(const X509_NAME* name) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), &BIO_free);
  if (text == nullptr || X509_NAME_print_ex(text.get(), name, 0, XN_FLAG_RFC2253) < 0) return "?";
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  return size <= 0 ? "no name" : std::string(data, static_cast<size_t>(size));
}

std::string TimeText(const ASN1_TIME* when) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(when, &parts) != 1) return "an unreadable date";
  return absl::FormatTime("%Y-%m-%d %H:%M UTC", absl::FromTM(parts, absl::UTCTimeZone()),
                          absl::UTCTimeZone());
}

// The hosts and addresses that a certificate is for.
std::string HostsOf(const X509* certificate) {
  std::vector<std::string> hosts;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* one = sk_GENERAL_NAME_value(names, i);
    if (one->type == GEN_DNS) {
      hosts.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(one->d.dNSName)),
                         ASN1_STRING_length(one->d.dNSName));
    } else if (one->type == GEN_IPADD) {
      const int size = ASN1_STRING_length(one->d.iPAddress);
      char text[INET6_ADDRSTRLEN] = "";
      inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(one->d.iPAddress), text,
                sizeof(text));
      if (size == 4 || size == 16) hosts.emplace_back(text);
    }
  }
  GENERAL_NAMES_free(names);
  if (hosts.empty()) return NameText(X509_get_subject_name(certificate));
  const size_t more = hosts.size() > kMostNames ? hosts.size() - kMostNames : 0;
  hosts.resize(hosts.size() - more);
  return absl::StrCat(absl::StrJoin(hosts, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

// What is wrong, and what to do.
std::string RefusedText(int error, const X509* certificate, const TlsSession& session) {
  if (certificate == nullptr) return X509_verify_cert_error_string(error);
  const std::string subject = NameText(X509_get_subject_name(certificate));
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return absl::StrCat("the server's certificate (", subject, ") expired on ",
                          TimeText(X509_get0_notAfter(certificate)), "; renew it on the server");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return absl::StrCat("the server's certificate (", subject, ") is not valid before ",
                          TimeText(X509_get0_notBefore(certificate)),
                          "; check the clock here and there");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return absl::StrCat("the server's certificate is for ", HostsOf(certificate), ", not for ",
                          session.name(),
                          "; connect to one of its names, or set [shared] tls_server_name");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return absl::StrCat(
          "the server's certificate (", subject, ") is signed by ",
          NameText(X509_get_issuer_name(certificate)), ", which is not an authority in ",
          session.tls().ca_file.empty() ? "the system's list" : session.tls().ca_file,
          "; set [shared] tls_ca_file to the certificate of the authority that signed it");
    default:
      return absl::StrCat("the server's certificate (", subject,
                          ") is refused: ", X509_verify_cert_error_string(error));
  }
}

int OnCertificate(int ok, X509_STORE_CTX* store) {
  if (ok == 1) return 1;
  const auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* session = static_cast<TlsSession*>(SSL_get_app_data(ssl));
  *session->refused() = RefusedText(X509_STORE_CTX_get_error(store),
                                    X509_STORE_CTX_get_current_cert(store), *session);
  return 0;
}

bool IsAddress(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

constexpr char kNoTls[] =
    "the server does not speak TLS on this port; use its TLS port, or write redis:// for a "
    "connection that is not encrypted";

// Of an error of the protocol.
std::string ProtocolText(unsigned long error, const RedisTls& tls) {
  const std::string client = tls.cert_file.empty() ? "a client certificate" : tls.cert_file;
  switch (ERR_GET_REASON(error)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_HTTP_REQUEST:
      return kNoTls;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return "the server offers no version of TLS that deferd accepts: 1.2 or newer";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      if (!tls.cert_file.empty()) break;
      return "the server refused the connection: it wants a client certificate; set [shared] "
             "tls_cert_file and tls_key_file";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return absl::StrCat("the server does not know the authority that signed ", client,
                          "; it must be in its tls-ca-cert-file");
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return absl::StrCat("the server refused ", client, ": it has expired; renew it");
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      return absl::StrCat("the server refused ", client);
    default:
      break;
  }
  const char* reason = ERR_reason_error_string(error);
  return absl::StrCat("TLS failed: ", reason == nullptr ? "unknown error" : reason);
}

}  // namespace

absl::Status CheckTlsCa(const std::string& ca_file) {
  const Context context = NewContext();
  if (context == nullptr) return absl::InternalError(Reason());
  return UseCa(context.get(), ca_file);
}

absl::Status CheckTlsCertificate(const std::string& cert_file, const std::string& key_file) {
  const Context context = NewContext();
  if (context == nullptr) return absl::InternalError(Reason());
  return UseCertificate(context.get(), cert_file, key_file);
}

absl::Status NoTlsThere() { return TroubleStatus(SharedTrouble::kTls, kNoTls); }

TlsSession::TlsSession(const RedisTls& tls, const std::string& host)
    : tls_(tls), name_(tls.server_name.empty() ? host : tls.server_name) {}

TlsSession::~TlsSession() {
  if (ssl_ == nullptr) return;
  if (status_.ok() && SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
  SSL_free(ssl_);
  ERR_clear_error();
}

absl::StatusOr<std::unique_ptr<TlsSession>> TlsSession::Start(int fd, const RedisTls& tls,
                                                              const std::string& host) {
  const Context context = NewContext();
  if (context == nullptr) return absl::InternalError(Reason());
  absl::Status usable = UseCa(context.get(), tls.ca_file);
  usable.Update(UseCertificate(context.get(), tls.cert_file, tls.key_file));
  if (!usable.ok()) return TroubleStatus(SharedTrouble::kTls, usable.message());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, OnCertificate);
  std::unique_ptr<TlsSession> session(new TlsSession(tls, host));
  session->ssl_ = SSL_new(context.get());
  SSL* const ssl = session->ssl_;
  if (ssl == nullptr || SSL_set_fd(ssl, fd) != 1) return absl::InternalError(Reason());
  SSL_set_app_data(ssl, session.get());
  const std::string& name = session->name_;
  const bool named = IsAddress(name)
                         ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1
                         : SSL_set1_host(ssl, name.c_str()) == 1 &&
                               SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
  if (!named) {
    return TroubleStatus(SharedTrouble::kTls,
                         absl::StrCat(Quoted(name), " cannot be the name of a server: ", Reason()));
  }
  SSL_set_connect_state(ssl);
  return session;
}

TlsSession::Step TlsSession::Handshake() {
  if (!status_.ok()) return Step::kFailed;
  ERR_clear_error();
  errno = 0;
  return After(SSL_do_handshake(ssl_));
}

TlsSession::Step TlsSession::Read(char* buffer, size_t size, size_t* got) {
  if (!status_.ok()) return Step::kFailed;
  ERR_clear_error();
  errno = 0;
  return After(SSL_read_ex(ssl_, buffer, size, got));
}

TlsSession::Step TlsSession::Write(absl::string_view bytes, size_t* put) {
  if (!status_.ok()) return Step::kFailed;
  ERR_clear_error();
  errno = 0;
  const int written = SSL_write_ex(ssl_, bytes.data(), bytes.size(), put);
  if (written == 1 || SSL_get_error(ssl_, written) != SSL_ERROR_SYSCALL) return After(written);
  // A server that refuses this client says why before it closes.
  const int system = errno;
  ERR_clear_error();
  char byte = 0;
  size_t got = 0;
  const int heard = SSL_peek_ex(ssl_, &byte, 1, &got);
  if (heard != 1 && SSL_get_error(ssl_, heard) == SSL_ERROR_SSL) return After(heard);
  ERR_clear_error();
  status_ = TroubleStatus(SharedTrouble::kGone,
                          system != 0 ? std::strerror(system) : "the server closed the connection");
  return Step::kFailed;
}

bool TlsSession::heard() const { return BIO_number_read(SSL_get_rbio(ssl_)) > 0; }

TlsSession::Step TlsSession::After(int result) {
  if (result == 1) return Step::kDone;
  const int system = errno;
  const int kind = SSL_get_error(ssl_, result);
  if (kind == SSL_ERROR_WANT_READ) return Step::kWaitRead;
  if (kind == SSL_ERROR_WANT_WRITE) return Step::kWaitWrite;
  const unsigned long error = ERR_peek_error();
  const bool ended = kind == SSL_ERROR_ZERO_RETURN || kind == SSL_ERROR_SYSCALL ||
                     (ERR_GET_LIB(error) == ERR_LIB_SSL &&
                      ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
  if (!refused_.empty()) {
    status_ = TroubleStatus(SharedTrouble::kTls, refused_);
  } else if (ended) {
    const std::string where = SSL_is_init_finished(ssl_) ? "" : " in the TLS handshake";
    status_ = TroubleStatus(SharedTrouble::kGone,
                            kind == SSL_ERROR_SYSCALL && system != 0
                                ? absl::StrCat(std::strerror(system), where)
                                : absl::StrCat("the server closed the connection", where));
  } else {
    status_ = TroubleStatus(SharedTrouble::kTls, ProtocolText(error, tls_));
  }
  ERR_clear_error();
  return Step::kFailed;
}

}  // namespace deferd

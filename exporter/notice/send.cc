#include "exporter/notice/send.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxAnswer = 64 << 10;  // more of an answer ends the transfer

struct EndCurl {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Curl = std::unique_ptr<CURL, EndCurl>;
using List = std::unique_ptr<curl_slist, EndCurl>;

void Append(List* list, const std::string& text) {
  curl_slist* const longer = curl_slist_append(list->get(), text.c_str());
  if (longer == nullptr) return;
  (void)list->release();
  list->reset(longer);
}

struct Transfer {
  absl::string_view left;  // to be sent
  size_t received = 0;
  bool allow_private = true;
  bool refused_private = false;
  const std::function<void(const std::string& ip, int port)>* on_local = nullptr;
  char error[CURL_ERROR_SIZE] = {};
};

size_t Read(char* to, size_t size, size_t count, void* data) {
  auto* transfer = static_cast<Transfer*>(data);
  const size_t bytes = std::min(size * count, transfer->left.size());
  std::memcpy(to, transfer->left.data(), bytes);
  transfer->left.remove_prefix(bytes);
  return bytes;
}

size_t Discard(char*, size_t size, size_t count, void* data) {
  auto* transfer = static_cast<Transfer*>(data);
  transfer->received += size * count;
  return transfer->received > kMaxAnswer ? 0 : size * count;
}

// Gives the connection to a server of this machine a port of its own: what is bound without
// SO_REUSEADDR is shared with nobody, not even for another server.
void BindLocal(int fd, const sockaddr* server, const Transfer& transfer) {
  char ip[INET6_ADDRSTRLEN] = {};
  sockaddr_storage own = {};
  socklen_t size = 0;
  if (server->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, server, sizeof(in));
    if (ntohl(in.sin_addr.s_addr) >> 24 != 127) return;
    sockaddr_in here = {};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::memcpy(&own, &here, size = sizeof(here));
    inet_ntop(AF_INET, &here.sin_addr, ip, sizeof(ip));
  } else if (server->sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, server, sizeof(in));
    if (!IN6_IS_ADDR_LOOPBACK(&in.sin6_addr)) return;
    sockaddr_in6 here = {};
    here.sin6_family = AF_INET6;
    here.sin6_addr = in6addr_loopback;
    std::memcpy(&own, &here, size = sizeof(here));
    inet_ntop(AF_INET6, &here.sin6_addr, ip, sizeof(ip));
  } else {
    return;
  }
  if (bind(fd, reinterpret_cast<const sockaddr*>(&own), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0) {
    return;
  }
  in_port_t port = 0;
  const size_t at = server->sa_family == AF_INET ? offsetof(sockaddr_in, sin_port)
                                                 : offsetof(sockaddr_in6, sin6_port);
  std::memcpy(&port, reinterpret_cast<const char*>(&own) + at, sizeof(port));
  (*transfer.on_local)(ip, ntohs(port));
}

// Looks at the address that the name resolved to, right before the connection is made.
curl_socket_t OpenSocket(void* data, curlsocktype, curl_sockaddr* address) {
  auto* transfer = static_cast<Transfer*>(data);
  if (!transfer->allow_private && IsPrivateAddress(&address->addr)) {
    transfer->refused_private = true;
    return CURL_SOCKET_BAD;
  }
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd >= 0 && transfer->on_local != nullptr && *transfer->on_local) {
    BindLocal(fd, &address->addr, *transfer);
  }
  return fd;
}

absl::StatusOr<Curl> NewCurl(Transfer* transfer, absl::Duration timeout) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  Curl curl(curl_easy_init());
  if (curl == nullptr) return absl::UnavailableError("out of memory for a connection");
  CURL* const c = curl.get();
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, transfer->error);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(timeout)));
  curl_easy_setopt(c, CURLOPT_PROXY, "");
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, Discard);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, transfer);
  return curl;
}

std::string WhatFailed(const Transfer& transfer, CURLcode code) {
  return PrintableUtf8(transfer.error[0] != '\0' ? transfer.error : curl_easy_strerror(code));
}

bool IsPrivate4(uint32_t a) {
  const auto in = [a](uint32_t net, int bits) { return (a ^ net) >> (32 - bits) == 0; };
  return in(0x00000000, 8) || in(0x0a000000, 8) || in(0x64400000, 10) || in(0x7f000000, 8) ||
         in(0xa9fe0000, 16) || in(0xac100000, 12) || in(0xc0000000, 24) || in(0xc0a80000, 16) ||
         in(0xc6120000, 15) || in(0xe0000000, 3);
}

}  // namespace

bool IsPrivateAddress(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof(in));
    return IsPrivate4(ntohl(in.sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return true;
  sockaddr_in6 in;
  std::memcpy(&in, address, sizeof(in));
  const uint8_t* b = in.sin6_addr.s6_addr;
  // 2000::/3 is what the internet routes; in it 6to4 and NAT64 may carry a private IPv4 address.
  uint32_t four = 0;
  if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
    std::memcpy(&four, b + 12, sizeof(four));
    return IsPrivate4(ntohl(four));
  }
  constexpr uint8_t kNat64[12] = {0x00, 0x64, 0xff, 0x9b};
  if (std::memcmp(b, kNat64, sizeof(kNat64)) == 0) {
    std::memcpy(&four, b + 12, sizeof(four));
    return IsPrivate4(ntohl(four));
  }
  if (b[0] == 0x20 && b[1] == 0x02) {
    std::memcpy(&four, b + 2, sizeof(four));
    return IsPrivate4(ntohl(four));
  }
  return (b[0] & 0xe0) != 0x20;
}

absl::Status SendMail(const SmtpOptions& options, const std::string& to, const std::string& text) {
  // It becomes part of a command.
  const bool plain = std::all_of(
      to.begin(), to.end(), [](char c) { return c > ' ' && c < 0x7f && c != '<' && c != '>'; });
  if (!plain || to.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(Quoted(to), " is not a mail address"));
  }
  Transfer transfer{.left = text, .on_local = &options.on_local};
  absl::StatusOr<Curl> curl = NewCurl(&transfer, options.timeout);
  if (!curl.ok()) return curl.status();
  CURL* const c = curl->get();
  List recipients;
  Append(&recipients, absl::StrCat("<", to, ">"));
  const std::string url = absl::StrCat("smtp://", options.host, "/", options.helo);
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp");
  curl_easy_setopt(c, CURLOPT_USE_SSL,
                   static_cast<long>(options.tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
  curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, options.tls ? 1L : 0L);
  curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, options.tls ? 2L : 0L);
  if (!options.user.empty()) {
    curl_easy_setopt(c, CURLOPT_USERNAME, options.user.c_str());
    curl_easy_setopt(c, CURLOPT_PASSWORD, options.password.c_str());
  }
  curl_easy_setopt(c, CURLOPT_MAIL_FROM, "<>");
  curl_easy_setopt(c, CURLOPT_MAIL_RCPT, recipients.get());
  curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(c, CURLOPT_READFUNCTION, Read);
  curl_easy_setopt(c, CURLOPT_READDATA, &transfer);
  const CURLcode code = curl_easy_perform(c);
  if (code == CURLE_OK) return absl::OkStatus();
  long answer = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &answer);
  const std::string what = absl::StrCat(options.host, ": ", WhatFailed(transfer, code));
  // A refused login or missing TLS is the operator's to mend; it is no word about this mail.
  const bool for_good =
      answer >= 500 && answer < 600 && code != CURLE_LOGIN_DENIED && code != CURLE_USE_SSL_FAILED;
  if (for_good) return absl::InvalidArgumentError(what);
  const bool this_one = answer >= 400 && answer < 500;
  return this_one ? absl::AbortedError(what) : absl::UnavailableError(what);
}

absl::Status PostJson(const PostOptions& options, const std::string& body) {
  Transfer transfer{.allow_private = options.allow_private};
  absl::StatusOr<Curl> curl = NewCurl(&transfer, options.timeout);
  if (!curl.ok()) return curl.status();
  CURL* const c = curl->get();
  List headers;
  Append(&headers, "Content-Type: application/json");
  Append(&headers, "Expect:");
  for (const std::string& one : options.headers) Append(&headers, one);
  curl_easy_setopt(c, CURLOPT_URL, options.url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.c_str());
  const CURLcode code = curl_easy_perform(c);
  if (code != CURLE_OK && transfer.refused_private) {
    return absl::UnavailableError(
        "the name leads to a private network; set allow_private = true if that is meant");
  }
  if (code != CURLE_OK) return absl::UnavailableError(WhatFailed(transfer, code));
  long answer = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &answer);
  if (answer >= 200 && answer < 300) return absl::OkStatus();
  const std::string what = absl::StrCat("the server answered ", answer);
  const bool later = answer >= 500 || answer == 408 || answer == 425 || answer == 429;
  return later ? absl::UnavailableError(what) : absl::InvalidArgumentError(what);
}

std::string Signature(absl::string_view secret, int64_t timestamp, absl::string_view body) {
  const std::string text = absl::StrCat(timestamp, ".", body);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  return absl::StrCat("sha256=", absl::BytesToHexString(
                                     absl::string_view(reinterpret_cast<const char*>(mac), size)));
}

}  // namespace deferd

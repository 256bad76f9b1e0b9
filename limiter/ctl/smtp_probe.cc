#include "limiter/ctl/smtp_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kLongestAnswer = 64 << 10;

// One answer, without its continuation lines: "250 OK". `buffer` keeps what came after it.
absl::StatusOr<std::string> ReadAnswer(int fd, absl::Time end, std::string* buffer) {
  for (;;) {
    const size_t line_end = buffer->find('\n');
    if (line_end != std::string::npos) {
      std::string line = buffer->substr(0, line_end);
      buffer->erase(0, line_end + 1);
      if (line.size() > 3 && line[3] == '-') continue;
      absl::StripTrailingAsciiWhitespace(&line);
      return line;
    }
    if (buffer->size() > kLongestAnswer) return absl::UnavailableError("an endless answer");
    const absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) return absl::UnavailableError("no answer in time");
    const timeval wait = absl::ToTimeval(std::max(left, absl::Milliseconds(1)));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    char bytes[4096];
    const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::UnavailableError("no answer in time");
    if (n == 0) return absl::UnavailableError("the connection was closed");
    buffer->append(bytes, static_cast<size_t>(n));
  }
}

}  // namespace

absl::Status ProbeSmtp(int port, const std::string& recipient, absl::Duration patience) {
  const absl::Time end = absl::Now() + patience;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::UnavailableError(std::strerror(errno));
  absl::Cleanup done = [fd] { close(fd); };
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::UnavailableError(absl::StrCat("127.0.0.1:", port, ": ", std::strerror(errno)));
  }
  std::string buffer;
  // The greeting is the answer to nothing.
  const std::vector<std::pair<std::string, std::string>> steps = {
      {"", "2"},
      {"EHLO localhost", "2"},
      {"MAIL FROM:<>", "2"},
      {absl::StrCat("RCPT TO:<", recipient, ">"), "2"},
      {"DATA", "354"}};
  for (const auto& step : steps) {
    const std::string line = absl::StrCat(step.first, "\r\n");
    if (!step.first.empty() &&
        send(fd, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
      return absl::UnavailableError(
          absl::StrCat("127.0.0.1:", port, ": the connection was closed"));
    }
    const absl::StatusOr<std::string> answer = ReadAnswer(fd, end, &buffer);
    if (answer.ok() && answer->substr(0, step.second.size()) == step.second) continue;
    return absl::UnavailableError(absl::StrCat(
        "127.0.0.1:", port, " answers ", step.first.empty() ? "a connection" : step.first, ": ",
        answer.ok() ? PrintableUtf8(*answer) : std::string(answer.status().message())));
  }
  return absl::OkStatus();
}

}  // namespace deferd

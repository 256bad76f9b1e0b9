#include "limiter/localrpc/admin_client.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "policy/json_limits.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxAnswer = size_t{1} << 30;

// Empty if the group cannot be determined.
std::string GroupOf(const std::string& path) {
  struct stat file;
  if (stat(path.c_str(), &file) != 0) return "";
  const group* const found = getgrgid(file.st_gid);
  return found == nullptr ? "" : found->gr_name;
}

absl::Status CannotConnect(const std::string& path, int error) {
  if (error == EACCES || error == EPERM) {
    const std::string group = GroupOf(path);
    return absl::PermissionDeniedError(
        absl::StrCat(path, ": permission denied; run deferctl as root or as a member of ",
                     group.empty() || group == "root"
                         ? "the group that [admin] group names"
                         : absl::StrCat("group ", group, " (adduser NAME ", group, ")"),
                     "; after adding a user to the group, log in again"));
  }
  if (!absl::StartsWith(path, "/") && absl::StrContains(path, ':')) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": deferctl connects to unix sockets only; give the path that deferd.toml has as "
        "[admin] socket"));
  }
  return absl::UnavailableError(absl::StrCat(path, ": cannot connect to deferd (",
                                             std::strerror(error),
                                             "); is it running, and is this its [admin] socket? "
                                             "(set it with --socket PATH or DEFERD_SOCKET)"));
}

}  // namespace

std::string UsualSocket() {
  const bool refused = access(kAdminSocket, R_OK | W_OK) != 0 && errno == EACCES;
  return refused && access(kReadersSocket, R_OK | W_OK) == 0 ? kReadersSocket : kAdminSocket;
}

absl::StatusOr<Json> CallDaemon(const std::string& path, const std::string& verb, const Json& args,
                                absl::Duration limit) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": path too long for a unix socket"));
  }
  path.copy(address.sun_path, path.size());

  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::UnavailableError(absl::StrCat("socket: ", std::strerror(errno)));
  absl::Cleanup close_fd = [fd] { close(fd); };
  const timeval timeout = absl::ToTimeval(limit);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return CannotConnect(path, errno);
  }

  const std::string request = Dump(Json{{"verb", verb}, {"args", args}}) + "\n";
  for (size_t sent = 0; sent < request.size();) {
    ssize_t n = send(fd, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return CannotConnect(path, errno);
    sent += static_cast<size_t>(n);
  }
  shutdown(fd, SHUT_WR);

  std::string answer;
  char buffer[16 << 10];
  while (!absl::EndsWith(answer, "\n") && answer.size() <= kMaxAnswer) {
    ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return absl::UnavailableError(
          absl::StrCat(path, ": deferd did not answer within ", absl::FormatDuration(limit)));
    }
    if (n == 0) break;
    answer.append(buffer, static_cast<size_t>(n));
  }
  // A list of a million subjects is large, but not deeply nested.
  constexpr JsonLimits kLimits = {
      .max_bytes = kMaxAnswer, .max_depth = 16, .max_values = std::numeric_limits<size_t>::max()};
  Json json;
  if (JsonWithinLimits(answer, kLimits)) {
    json = Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  }
  const auto ok = json.find("ok");
  const auto result = json.find("result");
  const auto error = json.find("error");
  if (ok != json.end() && *ok == true && result != json.end()) return std::move(*result);
  if (error != json.end() && error->is_string()) {
    return absl::FailedPreconditionError(PrintableUtf8(error->get<std::string>()));
  }
  if (ok != json.end() && *ok == false) {
    return absl::FailedPreconditionError("deferd refused the request without a reason");
  }
  return absl::UnavailableError(
      absl::StrCat(path, ": the answer does not come from deferd; is this its [admin] socket?"));
}

}  // namespace deferd

// Who is logged in to the console: a random id in the browser's cookie stands for a token.
//
// A session holds the token's hash, never its secret. It ends with its token, also when that
// expires, or when the token may do or see something else than at the log-in; after kIdle without a
// request; and after kLongest in any case. Sessions live in memory: a restart logs everybody out.
//
// Not thread-safe: used on the HTTP server's thread.

#ifndef DEFERD_EXPORTER_CONSOLE_SESSIONS_H_
#define DEFERD_EXPORTER_CONSOLE_SESSIONS_H_

#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/api/token_book.h"

namespace deferd {

struct LoginSession {
  Token token;       // as it was at the log-in
  std::string csrf;  // sent with every form, so that another site's form is refused
  absl::TimeZone zone;
  absl::Time begun;
  absl::Time used;
};

class Sessions {
 public:
  static constexpr absl::Duration kIdle = absl::Hours(1);
  static constexpr absl::Duration kLongest = absl::Hours(12);
  static constexpr size_t kMax = 1000;
  static constexpr size_t kMaxOfOne = 250;  // of one token

  // The cookie's value. The session that was idle longest goes if there are kMax, or kMaxOfOne of
  // the token. nullopt: the kernel gives no random bytes.
  std::optional<std::string> Begin(const Token& token, absl::TimeZone zone, absl::Time now);
  // Null if there is none, or it has ended. Valid until the next call.
  const LoginSession* Find(absl::string_view id, absl::Time now);
  // The same without being a request of it, so that a page that is only open does not keep it.
  const LoginSession* Peek(absl::string_view id, absl::Time now) const;
  void End(absl::string_view id);
  void EndIf(absl::FunctionRef<bool(const LoginSession&)> over);
  size_t size() const { return sessions_.size(); }

 private:
  static bool IsOver(const LoginSession& session, absl::Time now) {
    return now - session.used >= kIdle || now - session.begun >= kLongest ||
           session.token.Expired(now);
  }

  // By the id's SHA-256: how long a look-up takes tells nothing of the ids.
  absl::flat_hash_map<std::string, LoginSession> sessions_;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_SESSIONS_H_

// The tokens of the HTTP API: who may do what, and for which domains.
//
// A token is 256 bits from the kernel's random generator. The file stores its SHA-256, so that a
// reader of the file (or of a copy) cannot use it. A slow password hash would add nothing: nobody
// can try 2^256 values, and each request would pay for it.
//
// Thread-safe. The file (mode 0600) is written as a whole, atomically, before a change takes
// effect; if that fails, nothing has changed.

#ifndef DEFERD_EXPORTER_API_TOKEN_BOOK_H_
#define DEFERD_EXPORTER_API_TOKEN_BOOK_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/mutex.h"
#include "policy/subject.h"

namespace deferd {

// Each may do what those before it may.
enum class TokenRole { kViewer, kSupport, kAdmin };
absl::string_view TokenRoleName(TokenRole role);
absl::StatusOr<TokenRole> ParseTokenRole(absl::string_view name);

struct Token {
  std::string name;
  TokenRole role = TokenRole::kViewer;
  std::vector<std::string> domains;  // empty: all
  std::string hash;                  // SHA-256 of the secret, in hex
  std::string created;               // RFC 3339
  std::string by;

  bool sees_all() const { return domains.empty(); }
  // A token for some domains sees these domains, and the logins and forwarded mail under them. It
  // sees neither their subdomains nor other kinds: the names of scripts and local users are free
  // text, in which a tenant could write another's domain.
  bool Sees(const Subject& subject) const;
};

class TokenBook {
 public:
  static constexpr size_t kMaxTokens = 1000;

  // A missing file holds no tokens. DataLoss if the file is not what this class writes.
  static absl::StatusOr<std::unique_ptr<TokenBook>> Load(const std::string& path);

  // Returns the secret, which is stored nowhere. AlreadyExists for a name in use; InvalidArgument
  // for a malformed name or domain.
  absl::StatusOr<std::string> Add(absl::string_view name, TokenRole role,
                                  const std::vector<std::string>& domains, absl::Time now,
                                  absl::string_view by);
  // NotFound if there is no such token. Takes effect with the next request.
  absl::Status Revoke(absl::string_view name);

  std::vector<Token> List() const;  // by name
  // Takes the same time wherever the secrets differ.
  std::optional<Token> Find(absl::string_view secret) const;
  // The token whose Token::hash this is, unless it was revoked.
  std::optional<Token> FindByHash(absl::string_view hash) const;

  // The verb `token`: {"do": "add", "name", "role", "domains"}, {"do": "list"} or {"do": "revoke",
  // "name"}, asked by `person`.
  absl::StatusOr<Json> Verb(const Json& args, absl::Time now, absl::string_view person);

 private:
  explicit TokenBook(std::string path) : path_(std::move(path)) {}
  absl::Status Write(const std::vector<Token>& tokens) const;

  const std::string path_;
  mutable Mutex mutex_;
  std::vector<Token> tokens_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_TOKEN_BOOK_H_

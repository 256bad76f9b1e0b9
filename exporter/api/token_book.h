// The tokens of the HTTP API: who may do what, and for which domains.
//
// A token is 256 bits from the kernel's random generator. The file stores its SHA-256, so that a
// reader of the file (or of a copy) cannot use it. A slow password hash would add nothing: nobody
// can try 2^256 values, and each request would pay for it.
//
// Thread-safe; whoever checks a token waits for no disk write. The file (mode 0600) is written as a
// whole, atomically, before a new token takes effect. A file that somebody else replaced is read
// again by itself; one that cannot be read is never overwritten.

#ifndef DEFERD_EXPORTER_API_TOKEN_BOOK_H_
#define DEFERD_EXPORTER_API_TOKEN_BOOK_H_

#include <cstdint>
#include <functional>
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
  absl::Time expires = absl::InfiniteFuture();

  bool Expired(absl::Time now) const { return now >= expires; }
  bool sees_all() const { return domains.empty(); }
  // Whether it may do and see what `other`, the same token at another time, may.
  bool SameRights(const Token& other) const {
    return role == other.role && domains == other.domains && expires == other.expires;
  }
  // A token for some domains sees these domains, and the logins and forwarded mail under them. It
  // sees neither their subdomains nor other kinds (Confines::MayBeOfTenant).
  bool Sees(const Subject& subject) const;
};

class TokenBook {
 public:
  static constexpr size_t kMaxTokens = 1000;

  // A missing file holds no tokens. One that cannot be read leaves the book without tokens until
  // it can: problem() says why. `on_change` is called from any thread when the tokens are others
  // than before; it must not call the book.
  explicit TokenBook(std::string path, std::function<void()> on_change = nullptr);

  // Not ok while no token can be checked, because the file cannot be read or is not what this class
  // writes.
  absl::Status problem() const;

  // Returns the secret, which is stored nowhere. AlreadyExists for a name in use; InvalidArgument
  // for a malformed name or domain, or an end that has passed; FailedPrecondition, and the file
  // stays as it is, while there is a problem.
  absl::StatusOr<std::string> Add(absl::string_view name, TokenRole role,
                                  const std::vector<std::string>& domains, absl::Time now,
                                  absl::string_view by,
                                  absl::Time expires = absl::InfiniteFuture());
  // NotFound if there is no such token. Takes effect at once, also if the file cannot be written:
  // FailedPrecondition says so then, and another call writes it.
  absl::Status Revoke(absl::string_view name);

  std::vector<Token> List() const;  // by name; expired ones too, until they are revoked
  // The token of this secret, if it has not expired at `now`. Takes the same time wherever the
  // secrets differ.
  std::optional<Token> Find(absl::string_view secret, absl::Time now) const;
  // The token whose Token::hash this is, as it is now, unless it was revoked or has expired.
  std::optional<Token> FindByHash(absl::string_view hash, absl::Time now) const;
  // The token of this secret, if it has expired: for what a refusal says, and allows nothing.
  std::optional<Token> FindExpired(absl::string_view secret, absl::Time now) const;

  // Grows with each change of the tokens.
  int64_t version() const;

  // The verb `token`: {"do": "add", "name", "role", "domains", "expires"}, {"do": "list"} or {"do":
  // "revoke", "name"}, asked by `person`.
  absl::StatusOr<Json> Verb(const Json& args, absl::Time now, absl::string_view person);

 private:
  // What was read. Never changed, so that a reader waits for no disk.
  struct Contents {
    std::vector<Token> tokens;
    absl::Status problem;
  };
  // The file's identity and age; all 0: there is none.
  struct FileState {
    uint64_t device = 0, inode = 0;
    int64_t size = 0, changed_ns = 0;
    friend bool operator==(const FileState&, const FileState&) = default;
  };

  static Contents Read(const std::string& path);
  absl::StatusOr<FileState> StateOfFile() const;
  // The tokens, read again if the file is another than before.
  std::shared_ptr<const Contents> Now() const;
  // Expired or not.
  std::optional<Token> FindAny(absl::string_view hash) const;
  void Put(std::vector<Token> tokens);
  absl::Status Write(const std::vector<Token>& tokens) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);

  const std::string path_;
  const std::function<void()> on_change_;
  Mutex write_mutex_;                                     // taken before mutex_
  bool unwritten_ ABSL_GUARDED_BY(write_mutex_) = false;  // a revocation that the file lacks
  mutable Mutex mutex_;
  mutable std::shared_ptr<const Contents> contents_ ABSL_GUARDED_BY(mutex_);
  mutable std::optional<FileState> read_ ABSL_GUARDED_BY(mutex_);  // nullopt: read again
  mutable int64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_TOKEN_BOOK_H_

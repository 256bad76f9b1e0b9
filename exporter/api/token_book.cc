#include "exporter/api/token_book.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/api/secret.h"
#include "limiter/admin/track_args.h"
#include "limiter/port/log.h"
#include "limiter/port/replace_file.h"
#include "policy/domain_name.h"
#include "policy/duration.h"
#include "policy/json_limits.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr size_t kMaxName = 40;
constexpr size_t kMaxDomains = 1000;
constexpr absl::Duration kLongest = absl::Hours(24 * 3653);  // until a token expires
constexpr size_t kMaxFile = 32 << 20;  // of kMaxTokens with kMaxDomains each, and to spare
constexpr char kPrefix[] = "deferd_";  // lets secret scanners recognise a leaked token

absl::Status FileTrouble(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": cannot ", what, ": ", std::strerror(errno)));
}

absl::Status CheckName(absl::string_view name) {
  const bool valid =
      !name.empty() && name.size() <= kMaxName && std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' || c == '_' || c == '.';
      });
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("name ", Quoted(name.substr(0, kMaxName)), ": use 1 to ", kMaxName,
                   " of a-z, 0-9, '-', '_' and '.', such as \"help-desk\""));
}

Json TokenJson(const Token& token) {
  return {{"name", token.name},
          {"role", std::string(TokenRoleName(token.role))},
          {"domains", token.domains},
          {"created", token.created},
          {"by", token.by},
          {"expires", token.expires == absl::InfiniteFuture() ? Json(nullptr)
                                                              : Json(FormatUtc(token.expires))}};
}

absl::StatusOr<std::vector<std::string>> TextList(const Json& json, const char* name) {
  std::vector<std::string> list;
  const Json& values = At(json, name);
  if (values.is_null()) return list;
  if (!values.is_array()) return absl::InvalidArgumentError(absl::StrCat(name, ": not a list"));
  for (const Json& value : values) {
    if (!value.is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": expected a list of strings"));
    }
    list.push_back(value.get<std::string>());
  }
  return list;
}

// Argument `expires`: "90d" from now on, or a time; absent or empty: never.
absl::StatusOr<absl::Time> ExpiryOf(const Json& args, absl::Time now) {
  absl::StatusOr<std::string> text = TextArg(args, "expires");
  if (!text.ok()) return text.status();
  if (text->empty()) return absl::InfiniteFuture();
  absl::StatusOr<absl::Duration> length = ParseDuration(*text);
  absl::StatusOr<absl::Time> end =
      length.ok() ? absl::StatusOr<absl::Time>(now + *length) : ParseWhen(*text, now);
  if (!end.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expires: ", Quoted(text->substr(0, kMaxName)),
                     " is neither a duration nor a time (examples: 90d, 2027-01-31)"));
  }
  if (*end > now + kLongest) {
    return absl::InvalidArgumentError(
        "expires: at most 10 years; leave it out for a token without "
        "an end");
  }
  // As the file keeps it.
  return absl::FromUnixSeconds(absl::ToUnixSeconds(*end));
}

// nullopt if a field is missing or malformed: a token that is half read could allow too much.
std::optional<Token> TokenOf(const Json& json) {
  if (!json.is_object() || !At(json, "domains").is_array()) return std::nullopt;
  Token token{.name = Field(json, "name"),
              .hash = Field(json, "sha256"),
              .created = Field(json, "created"),
              .by = Field(json, "by")};
  absl::StatusOr<TokenRole> role = ParseTokenRole(Field(json, "role"));
  absl::StatusOr<std::vector<std::string>> domains = TextList(json, "domains");
  if (!CheckName(token.name).ok() || token.hash.size() != 64 || !role.ok() || !domains.ok()) {
    return std::nullopt;
  }
  token.role = *role;
  // Older files lack it. Anything but a time is damage, and must not mean "never".
  if (const Json& expires = At(json, "expires"); !expires.is_null()) {
    std::string error;
    if (!expires.is_string() ||
        !absl::ParseTime(absl::RFC3339_full, expires.get<std::string>(), &token.expires, &error) ||
        token.expires == absl::InfiniteFuture() || token.expires == absl::InfinitePast()) {
      return std::nullopt;
    }
  }
  for (const std::string& text : *domains) {
    absl::StatusOr<DomainName> domain = DomainName::Parse(text);
    if (!domain.ok()) return std::nullopt;
    token.domains.push_back(domain->text());
  }
  return token;
}

// nullopt if it is not a whole file of tokens, or two of them are one.
std::optional<std::vector<Token>> TokensOf(const std::string& text) {
  const JsonLimits limits = {.max_bytes = kMaxFile, .max_depth = 8, .max_values = 2 << 20};
  if (!JsonWithinLimits(text, limits)) return std::nullopt;
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !At(json, "tokens").is_array()) return std::nullopt;
  std::vector<Token> tokens;
  std::set<std::string> names, hashes;
  for (const Json& one : At(json, "tokens")) {
    std::optional<Token> token = TokenOf(one);
    if (!token.has_value() || !names.insert(token->name).second ||
        !hashes.insert(token->hash).second) {
      return std::nullopt;
    }
    tokens.push_back(*std::move(token));
  }
  std::sort(tokens.begin(), tokens.end(),
            [](const Token& a, const Token& b) { return a.name < b.name; });
  return tokens;
}

// The whole file; "" if there is none.
absl::StatusOr<std::string> TextOf(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return std::string();
  if (fd < 0) return FileTrouble(path, "read");
  absl::Cleanup close_fd = [fd] { close(fd); };
  std::string text;
  char buffer[64 << 10];
  while (text.size() <= kMaxFile) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileTrouble(path, "read");
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

}  // namespace

absl::string_view TokenRoleName(TokenRole role) {
  switch (role) {
    case TokenRole::kViewer:
      return "viewer";
    case TokenRole::kSupport:
      return "support";
    case TokenRole::kAdmin:
      return "admin";
  }
  return "";
}

absl::StatusOr<TokenRole> ParseTokenRole(absl::string_view name) {
  for (TokenRole role : {TokenRole::kViewer, TokenRole::kSupport, TokenRole::kAdmin}) {
    if (name == TokenRoleName(role)) return role;
  }
  return absl::InvalidArgumentError(absl::StrCat("role ", Quoted(name.substr(0, kMaxName)),
                                                 " is not known; use viewer, support or admin"));
}

bool Token::Sees(const Subject& subject) const {
  if (sees_all()) return true;
  if (!Confines::MayBeOfTenant(subject.kind)) return false;
  return std::find(domains.begin(), domains.end(), subject.DomainPart()) != domains.end();
}

TokenBook::TokenBook(std::string path, std::function<void()> on_change)
    : path_(std::move(path)), on_change_(std::move(on_change)) {
  Now();
}

absl::StatusOr<TokenBook::FileState> TokenBook::StateOfFile() const {
  struct stat state;
  if (stat(path_.c_str(), &state) != 0) {
    if (errno == ENOENT) return FileState();
    return FileTrouble(path_, "read");
  }
  // The inode's change, which no editor can set back.
  return FileState{
      .device = state.st_dev,
      .inode = state.st_ino,
      .size = state.st_size,
      .changed_ns = state.st_ctim.tv_sec * int64_t{1'000'000'000} + state.st_ctim.tv_nsec};
}

TokenBook::Contents TokenBook::Read(const std::string& path) {
  Contents contents;
  absl::StatusOr<std::string> text = TextOf(path);
  if (!text.ok()) {
    contents.problem = text.status();
    return contents;
  }
  if (text->empty() && access(path.c_str(), F_OK) != 0) return contents;  // there is none
  std::optional<std::vector<Token>> tokens = TokensOf(*text);
  if (tokens.has_value()) {
    contents.tokens = *std::move(tokens);
  } else {
    contents.problem = absl::DataLossError(
        absl::StrCat(path,
                     ": not a file of tokens; restore it, or move it away and add the tokens "
                     "again"));
  }
  return contents;
}

std::shared_ptr<const TokenBook::Contents> TokenBook::Now() const {
  std::shared_ptr<const Contents> contents;
  {
    const absl::StatusOr<FileState> state = StateOfFile();
    MutexLock lock(&mutex_);
    if (state.ok() && read_ == *state) return contents_;
    Contents found = state.ok() ? Read(path_) : Contents{.problem = state.status()};
    // What could not be opened may be there the next time; what is no file of tokens may not.
    read_ = found.problem.ok() || absl::IsDataLoss(found.problem) ? std::optional(*state)
                                                                  : std::nullopt;
    const absl::Status before = contents_ == nullptr ? absl::OkStatus() : contents_->problem;
    if (before != found.problem) {
      if (found.problem.ok()) {
        spdlog::info("{}: can be read again", path_);
      } else {
        spdlog::error("{}; the HTTP API and the console refuse everybody until then",
                      found.problem.message());
      }
    }
    const bool same_trouble =
        contents_ != nullptr && !found.problem.ok() && before == found.problem;
    if (same_trouble) return contents_;
    contents_ = std::make_shared<const Contents>(std::move(found));
    ++version_;
    contents = contents_;
  }
  if (on_change_) on_change_();
  return contents;
}

void TokenBook::Put(std::vector<Token> tokens) {
  {
    const absl::StatusOr<FileState> state = StateOfFile();
    MutexLock lock(&mutex_);
    contents_ = std::make_shared<const Contents>(Contents{.tokens = std::move(tokens)});
    read_ = state.ok() ? std::optional(*state) : std::nullopt;
    ++version_;
  }
  if (on_change_) on_change_();
}

absl::Status TokenBook::problem() const { return Now()->problem; }

int64_t TokenBook::version() const {
  Now();
  MutexLock lock(&mutex_);
  return version_;
}

absl::Status TokenBook::Write(const std::vector<Token>& tokens) {
  Json list = Json::array();
  for (const Token& token : tokens) {
    Json json = TokenJson(token);
    json["sha256"] = token.hash;
    list.push_back(std::move(json));
  }
  const std::string text = DumpPretty({{"tokens", std::move(list)}});
  // A token that was revoked must not be back after a power cut.
  if (const std::optional<ReplaceFailure> failure = ReplaceFile(path_, text, 0600)) {
    return FileTrouble(failure->path, failure->what);
  }
  unwritten_ = false;
  return absl::OkStatus();
}

absl::StatusOr<std::string> TokenBook::Add(absl::string_view name, TokenRole role,
                                           const std::vector<std::string>& domains, absl::Time now,
                                           absl::string_view by, absl::Time expires) {
  if (absl::Status valid = CheckName(name); !valid.ok()) return valid;
  if (expires <= now) {
    return absl::InvalidArgumentError(
        absl::StrCat("expires: ", FormatUtc(expires), " is not in the future"));
  }
  if (domains.size() > kMaxDomains) {
    return absl::InvalidArgumentError(absl::StrCat("domains: more than ", kMaxDomains));
  }
  Token token{.name = std::string(name),
              .role = role,
              .created = FormatUtc(absl::FromUnixSeconds(absl::ToUnixSeconds(now))),
              .by = std::string(by),
              .expires = expires};
  for (const std::string& text : domains) {
    absl::StatusOr<DomainName> domain = DomainName::Parse(text);
    if (!domain.ok()) return domain.status();
    if (domain->text().find_first_of(".[") == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("domains: ", Quoted(text),
                                                     " has no dot; write whole names, such as ",
                                                     domain->text(), ".example"));
    }
    token.domains.push_back(domain->text());
  }
  const std::optional<std::string> random = NewSecret();
  if (!random.has_value()) return absl::UnavailableError("the kernel gives no random bytes");
  std::string secret = absl::StrCat(kPrefix, *random);
  token.hash = Sha256Hex(secret);
  if (token.hash.empty()) return absl::InternalError("SHA-256 is not available");

  MutexLock lock(&write_mutex_);
  const std::shared_ptr<const Contents> contents = Now();
  if (!contents->problem.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(contents->problem.message(), "; the file is left as it is"));
  }
  std::vector<Token> tokens = contents->tokens;
  if (tokens.size() >= kMaxTokens) {
    return absl::FailedPreconditionError(
        absl::StrCat("there are ", kMaxTokens, " tokens already; revoke one first"));
  }
  const auto place =
      std::lower_bound(tokens.begin(), tokens.end(), token.name,
                       [](const Token& one, const std::string& other) { return one.name < other; });
  if (place != tokens.end() && place->name == token.name) {
    return absl::AlreadyExistsError(absl::StrCat(
        "there is a token '", name, "' already; revoke it first or take another name"));
  }
  tokens.insert(place, std::move(token));
  if (absl::Status written = Write(tokens); !written.ok()) return written;
  Put(std::move(tokens));
  return secret;
}

absl::Status TokenBook::Revoke(absl::string_view name) {
  MutexLock lock(&write_mutex_);
  const std::shared_ptr<const Contents> contents = Now();
  if (!contents->problem.ok()) return absl::FailedPreconditionError(contents->problem.message());
  std::vector<Token> tokens = contents->tokens;
  const auto is_it = [name](const Token& one) { return one.name == name; };
  const auto found = std::find_if(tokens.begin(), tokens.end(), is_it);
  if (found == tokens.end() && !unwritten_) {
    return absl::NotFoundError(
        absl::StrCat("there is no token ", Quoted(name.substr(0, kMaxName))));
  }
  if (found != tokens.end()) tokens.erase(found);
  // A full disk must not keep a stolen token alive.
  unwritten_ = true;
  Put(tokens);
  if (absl::Status written = Write(tokens); !written.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, " is refused from now on, but after a restart it would be accepted: ",
                     written.message(), "; revoke it again when that is mended"));
  }
  Put(std::move(tokens));
  return absl::OkStatus();
}

std::vector<Token> TokenBook::List() const { return Now()->tokens; }

std::optional<Token> TokenBook::Find(absl::string_view secret, absl::Time now) const {
  return FindByHash(Sha256Hex(secret), now);
}

std::optional<Token> TokenBook::FindByHash(absl::string_view hash, absl::Time now) const {
  std::optional<Token> token = FindAny(hash);
  if (token.has_value() && token->Expired(now)) token.reset();
  return token;
}

std::optional<Token> TokenBook::FindExpired(absl::string_view secret, absl::Time now) const {
  std::optional<Token> token = FindAny(Sha256Hex(secret));
  if (token.has_value() && !token->Expired(now)) token.reset();
  return token;
}

std::optional<Token> TokenBook::FindAny(absl::string_view hash) const {
  if (hash.empty()) return std::nullopt;
  const Token* found = nullptr;
  const std::shared_ptr<const Contents> contents = Now();
  for (const Token& token : contents->tokens) {
    if (SameSecret(token.hash, hash)) found = &token;
  }
  return found == nullptr ? std::nullopt : std::optional<Token>(*found);
}

absl::StatusOr<Json> TokenBook::Verb(const Json& args, absl::Time now, absl::string_view person) {
  const std::string what = Field(args, "do");
  if (what == "list") {
    // An empty list would say that there are none.
    if (absl::Status trouble = problem(); !trouble.ok()) {
      return absl::FailedPreconditionError(trouble.message());
    }
    Json list = Json::array();
    for (const Token& token : List()) {
      Json json = TokenJson(token);
      json["expired"] = token.Expired(now);
      list.push_back(std::move(json));
    }
    return list;
  }
  absl::StatusOr<std::string> name = TextArg(args, "name");
  if (!name.ok()) return name.status();
  if (what == "revoke") {
    absl::Status revoked = Revoke(*name);
    if (!revoked.ok()) return revoked;
    spdlog::info("token {} revoked by {}", *name, person);
    return Json{{"name", *name}, {"revoked", true}};
  }
  if (what != "add") {
    return absl::InvalidArgumentError("token: unknown action (expected add, list or revoke)");
  }
  absl::StatusOr<std::string> role_name = TextArg(args, "role");
  if (!role_name.ok()) return role_name.status();
  absl::StatusOr<TokenRole> role = ParseTokenRole(*role_name);
  if (!role.ok()) return role.status();
  absl::StatusOr<std::vector<std::string>> domains = TextList(args, "domains");
  if (!domains.ok()) return domains.status();
  absl::StatusOr<absl::Time> expires = ExpiryOf(args, now);
  if (!expires.ok()) return expires.status();
  absl::StatusOr<std::string> secret = Add(*name, *role, *domains, now, person, *expires);
  if (!secret.ok()) return secret.status();
  const bool ends = *expires != absl::InfiniteFuture();
  spdlog::info("token {} ({}) added by {}{}", *name, TokenRoleName(*role), person,
               ends ? absl::StrCat(", expires ", FormatUtc(*expires)) : "");
  return Json{{"name", *name},
              {"expires", ends ? Json(FormatUtc(*expires)) : Json(nullptr)},
              {"role", std::string(TokenRoleName(*role))},
              {"domains", *domains},
              {"token", *secret}};
}

}  // namespace deferd

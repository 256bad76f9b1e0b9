#include "exporter/api/token_book.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/api/secret.h"
#include "limiter/admin/track_args.h"
#include "limiter/port/log.h"
#include "policy/domain_name.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr size_t kMaxName = 40;
constexpr size_t kMaxDomains = 1000;
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
          {"by", token.by}};
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
  token.domains = *std::move(domains);
  return token;
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
  switch (subject.kind) {
    case SubjectKind::kDomain:
    case SubjectKind::kLogin:
    case SubjectKind::kForward:
      break;
    default:
      return false;
  }
  return std::find(domains.begin(), domains.end(), subject.DomainPart()) != domains.end();
}

absl::StatusOr<std::unique_ptr<TokenBook>> TokenBook::Load(const std::string& path) {
  auto book = std::unique_ptr<TokenBook>(new TokenBook(path));
  std::ifstream file(path);
  if (!file) {
    if (errno == ENOENT) return book;
    return FileTrouble(path, "read");
  }
  std::stringstream text;
  text << file.rdbuf();
  const Json json = Json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
  const absl::Status damaged = absl::DataLossError(
      absl::StrCat(path, ": not a file of tokens; move it away and add the tokens again"));
  if (!json.is_object() || !At(json, "tokens").is_array()) return damaged;
  MutexLock lock(&book->mutex_);
  for (const Json& one : At(json, "tokens")) {
    std::optional<Token> token = TokenOf(one);
    if (!token.has_value()) return damaged;
    book->tokens_.push_back(*std::move(token));
  }
  return book;
}

absl::Status TokenBook::Write(const std::vector<Token>& tokens) const {
  Json list = Json::array();
  for (const Token& token : tokens) {
    Json json = TokenJson(token);
    json["sha256"] = token.hash;
    list.push_back(std::move(json));
  }
  const std::string text = DumpPretty({{"tokens", std::move(list)}});
  const std::string temporary = path_ + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return FileTrouble(temporary, "write");
  absl::Cleanup close_fd = [fd] { close(fd); };
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()) || fsync(fd) != 0) {
    return FileTrouble(temporary, "write");
  }
  if (std::rename(temporary.c_str(), path_.c_str()) != 0) return FileTrouble(path_, "rename");
  return absl::OkStatus();
}

absl::StatusOr<std::string> TokenBook::Add(absl::string_view name, TokenRole role,
                                           const std::vector<std::string>& domains, absl::Time now,
                                           absl::string_view by) {
  if (absl::Status valid = CheckName(name); !valid.ok()) return valid;
  if (domains.size() > kMaxDomains) {
    return absl::InvalidArgumentError(absl::StrCat("domains: more than ", kMaxDomains));
  }
  Token token{.name = std::string(name),
              .role = role,
              .created = FormatUtc(absl::FromUnixSeconds(absl::ToUnixSeconds(now))),
              .by = std::string(by)};
  for (const std::string& text : domains) {
    absl::StatusOr<DomainName> domain = DomainName::Parse(text);
    if (!domain.ok()) return domain.status();
    token.domains.push_back(domain->text());
  }
  const std::optional<std::string> random = NewSecret();
  if (!random.has_value()) return absl::UnavailableError("the kernel gives no random bytes");
  std::string secret = absl::StrCat(kPrefix, *random);
  token.hash = Sha256Hex(secret);
  if (token.hash.empty()) return absl::InternalError("SHA-256 is not available");

  MutexLock lock(&mutex_);
  if (tokens_.size() >= kMaxTokens) {
    return absl::FailedPreconditionError(
        absl::StrCat("there are ", kMaxTokens, " tokens already; revoke one first"));
  }
  std::vector<Token> tokens = tokens_;
  const auto place =
      std::lower_bound(tokens.begin(), tokens.end(), token.name,
                       [](const Token& one, const std::string& other) { return one.name < other; });
  if (place != tokens.end() && place->name == token.name) {
    return absl::AlreadyExistsError(absl::StrCat(
        "there is a token '", name, "' already; revoke it first or take another name"));
  }
  tokens.insert(place, std::move(token));
  if (absl::Status written = Write(tokens); !written.ok()) return written;
  tokens_ = std::move(tokens);
  return secret;
}

absl::Status TokenBook::Revoke(absl::string_view name) {
  MutexLock lock(&mutex_);
  std::vector<Token> tokens = tokens_;
  const auto is_it = [name](const Token& one) { return one.name == name; };
  const auto found = std::find_if(tokens.begin(), tokens.end(), is_it);
  if (found == tokens.end()) {
    return absl::NotFoundError(
        absl::StrCat("there is no token ", Quoted(name.substr(0, kMaxName))));
  }
  tokens.erase(found);
  if (absl::Status written = Write(tokens); !written.ok()) return written;
  tokens_ = std::move(tokens);
  return absl::OkStatus();
}

std::vector<Token> TokenBook::List() const {
  MutexLock lock(&mutex_);
  return tokens_;
}

std::optional<Token> TokenBook::Find(absl::string_view secret) const {
  return FindByHash(Sha256Hex(secret));
}

std::optional<Token> TokenBook::FindByHash(absl::string_view hash) const {
  if (hash.empty()) return std::nullopt;
  std::optional<Token> found;
  MutexLock lock(&mutex_);
  for (const Token& token : tokens_) {
    if (SameSecret(token.hash, hash)) found = token;
  }
  return found;
}

absl::StatusOr<Json> TokenBook::Verb(const Json& args, absl::Time now, absl::string_view person) {
  const std::string what = Field(args, "do");
  if (what == "list") {
    Json list = Json::array();
    for (const Token& token : List()) list.push_back(TokenJson(token));
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
  absl::StatusOr<std::string> secret = Add(*name, *role, *domains, now, person);
  if (!secret.ok()) return secret.status();
  spdlog::info("token {} ({}) added by {}", *name, TokenRoleName(*role), person);
  return Json{{"name", *name},
              {"role", std::string(TokenRoleName(*role))},
              {"domains", *domains},
              {"token", *secret}};
}

}  // namespace deferd

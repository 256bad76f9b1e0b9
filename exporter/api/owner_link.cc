#include "exporter/api/owner_link.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "exporter/api/secret.h"
#include "limiter/admin/track_args.h"
#include "limiter/port/replace_file.h"
#include "policy/domain_name.h"

namespace deferd {
namespace {

constexpr size_t kKeySize = 32;
constexpr size_t kMaxKey = 4096;
constexpr absl::string_view kVersion = "1";

absl::Status KeyTrouble(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": ", what));
}

// NotFound if there is none. A key that others may read is no secret any more.
absl::StatusOr<std::string> ReadKey(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  if (fd < 0) return KeyTrouble(path, absl::StrCat("cannot read: ", std::strerror(errno)));
  absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat state;
  if (fstat(fd, &state) != 0 || !S_ISREG(state.st_mode)) return KeyTrouble(path, "is not a file");
  if ((state.st_mode & 0027) != 0) {
    return KeyTrouble(path,
                      "others may read or write this key; chmod 0600 (or 0640) and make a new one");
  }
  std::string key(kMaxKey + 1, '\0');
  const ssize_t got = read(fd, key.data(), key.size());
  if (got < 0) return KeyTrouble(path, absl::StrCat("cannot read: ", std::strerror(errno)));
  key.resize(static_cast<size_t>(got));
  if (key.size() < kKeySize || key.size() > kMaxKey) {
    return KeyTrouble(path, absl::StrCat("a key has ", kKeySize, " to ", kMaxKey,
                                         " bytes; head -c 32 /dev/urandom makes one"));
  }
  return key;
}

absl::StatusOr<std::string> MakeKey(const std::string& path) {
  std::string key(kKeySize, '\0');
  if (getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size())) {
    return absl::UnavailableError("the kernel gives no random bytes");
  }
  if (const std::optional<ReplaceFailure> failure = ReplaceFile(path, key, 0600)) {
    return KeyTrouble(failure->path,
                      absl::StrCat("cannot ", failure->what, ": ", std::strerror(errno)));
  }
  return key;
}

// The local part, as far as it chooses a mailbox: "Bob+news@" is the mailbox of "bob@".
std::string MailboxOf(absl::string_view address) {
  absl::string_view local = address.substr(0, address.rfind('@'));
  if (absl::ConsumePrefix(&local, "\"")) absl::ConsumeSuffix(&local, "\"");
  return absl::AsciiStrToLower(local.substr(0, local.find('+')));
}

}  // namespace

absl::StatusOr<std::unique_ptr<OwnerLinks>> OwnerLinks::Open(std::string base,
                                                             const std::string& key_file,
                                                             const std::string& own_file) {
  const bool own = key_file.empty();
  absl::StatusOr<std::string> key = ReadKey(own ? own_file : key_file);
  if (own && absl::IsNotFound(key.status())) key = MakeKey(own_file);
  if (!key.ok()) return key.status();
  return std::unique_ptr<OwnerLinks>(
      new OwnerLinks(std::move(base), own ? own_file : "", *std::move(key)));
}

bool OwnerLinks::Serves(const Subject& subject) {
  return Confines::MayBeOfTenant(subject.kind) && !absl::StrContains(subject.id, '*') &&
         DomainName::Parse(subject.DomainPart()).ok();
}

bool OwnerLinks::IsOutside(absl::string_view address, const Subject& subject, bool named) {
  const absl::StatusOr<DomainName> domain = DomainName::OfAddress(address);
  const absl::StatusOr<DomainName> blocked = DomainName::Parse(subject.DomainPart());
  if (!domain.ok() || !blocked.ok()) return false;
  if (*domain != *blocked && !absl::EndsWith(domain->text(), absl::StrCat(".", blocked->text()))) {
    return true;
  }
  const bool whole = subject.kind == SubjectKind::kDomain || subject.kind == SubjectKind::kForward;
  return named && !whole && MailboxOf(address) != MailboxOf(subject.id);
}

std::string OwnerLinks::Mac(absl::string_view purpose, absl::string_view text) const {
  std::string key;
  {
    MutexLock lock(&mutex_);
    key = key_;
  }
  const std::string whole = absl::StrCat("deferd owner ", purpose, "\n", text);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(whole.data()), whole.size(), digest,
           &size) == nullptr) {
    return "";
  }
  return absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

std::string OwnerLinks::LinkTo(absl::string_view case_id, const Subject& subject,
                               absl::Time now) const {
  if (!Serves(subject) || absl::StrContains(case_id, '\n')) return "";
  const std::string claim = absl::WebSafeBase64Escape(absl::StrCat(
      kVersion, "\n", absl::ToUnixSeconds(now + kLife), "\n", case_id, "\n", subject.ToString()));
  const std::string mac = Mac("link", claim);
  if (mac.empty() || claim.size() + 1 + mac.size() > kMaxLink) return "";
  return absl::StrCat(base_, kPath, claim, ".", mac);
}

// Nothing of the claim is read before its MAC was found to be right.
std::optional<OwnerLinks::Claim> OwnerLinks::Check(absl::string_view link, absl::Time now) const {
  const size_t dot = link.find('.');
  if (link.size() > kMaxLink || dot == absl::string_view::npos) return std::nullopt;
  const absl::string_view claim = link.substr(0, dot);
  const std::string mac = Mac("link", claim);
  if (mac.empty() || !SameSecret(mac, link.substr(dot + 1))) return std::nullopt;
  std::string text;
  if (!absl::WebSafeBase64Unescape(claim, &text)) return std::nullopt;
  const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits('\n', 3));
  int64_t expires = 0;
  if (parts.size() != 4 || parts[0] != kVersion || !absl::SimpleAtoi(parts[1], &expires)) {
    return std::nullopt;
  }
  absl::StatusOr<Subject> subject = Subject::Parse(parts[3]);
  const absl::Time end = absl::FromUnixSeconds(expires);
  if (!subject.ok() || now >= end) return std::nullopt;
  return Claim{.case_id = parts[2], .subject = *std::move(subject), .expires = end};
}

std::string OwnerLinks::FormSecret(absl::string_view link) const { return Mac("form", link); }

absl::Status OwnerLinks::Revoke() {
  if (own_file_.empty()) {
    return absl::FailedPreconditionError(
        "the key is the file that [api] owner_key names; replace it and restart deferd");
  }
  absl::StatusOr<std::string> key = MakeKey(own_file_);
  if (!key.ok()) return key.status();
  MutexLock lock(&mutex_);
  key_ = *std::move(key);
  return absl::OkStatus();
}

}  // namespace deferd

#include "limiter/store/recipient_hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

constexpr size_t kHexDigits = 16;
constexpr char kMark[] = "h:";

bool IsHashed(absl::string_view recipient) {
  const absl::string_view local = recipient.substr(0, recipient.rfind('@'));
  return local.size() == 2 + kHexDigits && local.substr(0, 2) == kMark &&
         local.substr(2).find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

// Replaces `from` (in lower case) wherever `text` holds it, in any case.
void ReplaceIgnoringCase(const std::string& from, absl::string_view to, std::string* text) {
  const std::string lower = absl::AsciiStrToLower(*text);
  size_t found = lower.find(from);
  if (found == std::string::npos) return;
  std::string out;
  size_t done = 0;
  for (; found != std::string::npos; found = lower.find(from, done)) {
    absl::StrAppend(&out, absl::string_view(*text).substr(done, found - done), to);
    done = found + from.size();
  }
  absl::StrAppend(&out, absl::string_view(*text).substr(done));
  *text = std::move(out);
}

}  // namespace

absl::StatusOr<std::string> RecipientHash::NewKey() {
  std::array<char, 32> key = {};
  if (getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size())) {
    return absl::UnavailableError(
        absl::StrCat("the system gives no random bytes: ", std::strerror(errno)));
  }
  return std::string(key.data(), key.size());
}

std::string RecipientHash::Hashed(absl::string_view recipient) const {
  if (recipient.empty() || IsHashed(recipient)) return std::string(recipient);
  const std::string lower = absl::AsciiStrToLower(recipient);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(lower.data()), lower.size(), digest.data(), &size);
  const std::string hex = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), kHexDigits / 2));
  const size_t at = recipient.rfind('@');
  return absl::StrCat(kMark, hex,
                      at == absl::string_view::npos ? absl::string_view() : recipient.substr(at));
}

void RecipientHash::HideIn(LedgerRow* row) const {
  for (std::string* address : {&row->recipient, &row->original}) {
    if (address->empty() || IsHashed(*address)) continue;
    const std::string hashed = Hashed(*address);
    ReplaceIgnoringCase(absl::AsciiStrToLower(*address), hashed, &row->reply);
    *address = hashed;
  }
}

}  // namespace deferd

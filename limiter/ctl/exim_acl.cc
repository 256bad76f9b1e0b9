#include "limiter/ctl/exim_acl.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace deferd {

namespace {

// "name:" alone on its line.
bool IsLabel(absl::string_view line) {
  return absl::ConsumeSuffix(&line, ":") && !line.empty() &&
         line.find_first_of(" \t=$") == line.npos;
}

// Lines that end in a backslash are joined, comments left out.
std::vector<std::string> WholeLines(absl::string_view text) {
  std::vector<std::string> lines;
  std::string line;
  for (absl::string_view piece : absl::StrSplit(text, '\n')) {
    piece = absl::StripAsciiWhitespace(piece);
    if (absl::StartsWith(piece, "#")) continue;
    const bool goes_on = absl::ConsumeSuffix(&piece, "\\");
    absl::StrAppend(&line, piece);
    if (goes_on) continue;
    const absl::string_view whole = absl::StripAsciiWhitespace(line);
    if (!whole.empty()) lines.emplace_back(whole);
    line.clear();
  }
  return lines;
}

absl::string_view FirstWord(absl::string_view line) {
  return line.substr(0, line.find_first_of(" \t="));
}

void AddToAcl(absl::string_view line, EximAcl* acl) {
  const absl::string_view word = FirstWord(line);
  if (IsAclVerb(word)) {
    acl->push_back({std::string(word), {}});
    line = absl::StripAsciiWhitespace(line.substr(word.size()));
  }
  if (!line.empty() && !acl->empty()) acl->back().items.emplace_back(line);
}

EximAcl AclOf(absl::string_view text) {
  EximAcl acl;
  for (const std::string& line : WholeLines(text)) AddToAcl(line, &acl);
  return acl;
}

}  // namespace

bool IsAclVerb(absl::string_view word) {
  for (absl::string_view verb : {"accept", "defer", "deny", "discard", "drop", "require", "warn"}) {
    if (word == verb) return true;
  }
  return false;
}

EximAcls ReadEximAcls(const EximConfig& config) {
  EximAcls found;
  std::string section;
  EximAcl* acl = nullptr;
  for (const std::string& line : WholeLines(config.text)) {
    const absl::string_view rest = line;
    const absl::string_view word = FirstWord(rest);
    if (word == "begin") {
      section = std::string(absl::StripAsciiWhitespace(rest.substr(word.size())));
    } else if (section.empty()) {
      absl::string_view value = absl::StripAsciiWhitespace(rest.substr(word.size()));
      if (absl::StartsWith(word, "acl_") && absl::ConsumePrefix(&value, "=")) {
        found.options[std::string(word)] = std::string(absl::StripAsciiWhitespace(value));
      }
    } else if (section == "acl" && IsLabel(rest)) {
      acl = &found.acls[std::string(absl::StripSuffix(rest, ":"))];
    } else if (section == "acl" && acl != nullptr) {
      AddToAcl(rest, acl);
    }
  }
  for (const auto& [path, text] : config.files) found.acls[path] = AclOf(text);
  for (const auto& [option, value] : found.options) {
    if (found.acls.contains(value)) continue;
    if (IsAclVerb(FirstWord(value))) found.acls[value] = AclOf(value);
  }
  return found;
}

std::vector<std::string> EximAclFiles(absl::string_view text) {
  std::vector<std::string> files;
  for (const std::string& whole : WholeLines(text)) {
    absl::string_view line = whole;
    if (IsAclVerb(FirstWord(line))) {
      line = absl::StripLeadingAsciiWhitespace(line.substr(FirstWord(line).size()));
    }
    const absl::string_view name = ItemName(line);
    const absl::string_view value = ItemValue(line);
    if ((absl::StartsWith(name, "acl_") || name == "acl") && absl::StartsWith(value, "/") &&
        value.find_first_of("${}") == value.npos) {
      files.emplace_back(value.substr(0, value.find_first_of(" \t")));
    }
  }
  return files;
}

absl::string_view ItemName(absl::string_view item) {
  absl::ConsumePrefix(&item, "!");
  return FirstWord(absl::StripLeadingAsciiWhitespace(item));
}

absl::string_view ItemValue(absl::string_view item) {
  const size_t equals = item.find('=');
  return equals == item.npos ? "" : absl::StripAsciiWhitespace(item.substr(equals + 1));
}

bool IsModifier(absl::string_view name) {
  for (absl::string_view one :
       {"set", "message", "log_message", "logwrite", "log_reject_target", "control", "delay",
        "endpass", "add_header", "remove_header", "queue", "continue", "udpsend"}) {
    if (name == one) return true;
  }
  return false;
}

std::string EndsAclFor(const EximStatement& statement) {
  if (statement.verb == "warn" || statement.verb == "require") return "";
  bool for_logins = false;
  for (const std::string& item : statement.items) {
    const absl::string_view name = ItemName(item);
    const absl::string_view value = ItemValue(item);
    if (IsModifier(name)) continue;
    if (!absl::StartsWith(item, "!") && value == "*" && name == "authenticated") {
      for_logins = true;
      continue;
    }
    const bool always =
        (name == "condition" && (value == "true" || value == "yes" || value == "1")) ||
        (value == "*" &&
         (name == "hosts" || name == "senders" || name == "sender_domains" || name == "domains"));
    if (absl::StartsWith(item, "!") || !always) return "";
  }
  return for_logins ? absl::StrCat("'", statement.verb, " authenticated = *'")
                    : absl::StrCat("an unconditional '", statement.verb, "'");
}

}  // namespace deferd

#include "limiter/config/notice_config.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/config/config.h"
#include "policy/domain_name.h"

namespace deferd {

namespace {

constexpr absl::string_view kTitleNames[] = {"event", "subject", "severity", "host"};
constexpr absl::string_view kOwnerNames[] = {"domain"};
constexpr absl::string_view kLanguages[] = {"en", "de"};

bool IsAddress(absl::string_view text) {
  const size_t at = text.rfind('@');
  if (at == absl::string_view::npos || at == 0 || at + 1 == text.size()) return false;
  return absl::c_all_of(text, [](char c) {
    return c > ' ' && c < 0x7f && c != '<' && c != '>' && c != ',' && c != ';' && c != '"';
  });
}

std::optional<int> MinuteOfDay(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  int hour = 0, minute = 0;
  if (parts.size() != 2 || parts[0].size() != 2 || parts[1].size() != 2 ||
      !absl::SimpleAtoi(parts[0], &hour) || !absl::SimpleAtoi(parts[1], &minute) || hour > 23 ||
      minute > 59) {
    return std::nullopt;
  }
  return hour * 60 + minute;
}

class SinkReader {
 public:
  SinkReader(TomlReader* reader, TomlTable* table, std::string name)
      : reader_(reader), table_(table) {
    sink_.name = std::move(name);
  }

  NoticeSink Read() {
    ReadType();
    ReadEvents();
    ReadWhom();
    ReadTimes();
    if (auto language = table_->String("language")) {
      CheckLanguage(*language);
      sink_.language = language->text;
    }
    switch (sink_.type) {
      case NoticeSink::Type::kMail:
        ReadMail();
        break;
      case NoticeSink::Type::kWebhook:
        ReadWebhook();
        break;
      case NoticeSink::Type::kCommand:
        sink_.per_hour = 3600;
        if (auto socket = table_->String("socket")) {
          sink_.socket = std::string(absl::StripPrefix(socket->text, "unix:"));
          if (!absl::StartsWith(sink_.socket, "/")) {
            reader_->Error(socket->place,
                           "socket: give the absolute path of deferd-notify's socket");
          }
        }
        break;
    }
    if (auto most = table_->Integer("per_hour", 1, 100'000)) sink_.per_hour = *most;
    return std::move(sink_);
  }

 private:
  void ReadType() {
    auto type = table_->String("type");
    if (type.has_value() && type->text == "mail") return;
    if (type.has_value() && type->text == "webhook") {
      sink_.type = NoticeSink::Type::kWebhook;
    } else if (type.has_value() && type->text == "command") {
      sink_.type = NoticeSink::Type::kCommand;
    } else {
      reader_->Error(table_->PlaceOf("type"),
                     absl::StrCat("notice.", sink_.name,
                                  ": give type = \"mail\", \"webhook\" or \"command\""));
    }
  }

  void ReadEvents() {
    for (const TomlText& one : table_->Strings("on")) {
      const std::optional<NoticeKind> kind = ParseNoticeKind(one.text);
      if (one.text == "all") {
        for (int i = 0; i < kNoticeKinds; ++i) AddEvent(static_cast<NoticeKind>(i));
      } else if (kind.has_value()) {
        AddEvent(*kind);
      } else {
        std::vector<absl::string_view> names;
        for (int i = 0; i < kNoticeKinds; ++i) {
          names.push_back(InfoOf(static_cast<NoticeKind>(i)).name);
        }
        reader_->Error(one.place,
                       absl::StrCat("on: no event '", one.text, "'; use \"all\" or some of ",
                                    absl::StrJoin(names, ", ")));
      }
    }
    if (table_->Has("on")) return;
    for (int i = 0; i < kNoticeKinds; ++i) {
      const auto kind = static_cast<NoticeKind>(i);
      if (kind != NoticeKind::kExtended) AddEvent(kind);
    }
  }

  void AddEvent(NoticeKind kind) {
    if (!absl::c_linear_search(sink_.on, kind)) sink_.on.push_back(kind);
  }

  void ReadWhom() {
    for (const TomlText& one : table_->Strings("for")) {
      absl::string_view name = one.text;
      if (absl::ConsumePrefix(&name, "tag:") && !name.empty()) {
        sink_.tags.emplace_back(name);
        continue;
      }
      bool known = false;
      for (int i = 0; i < kSubjectKinds; ++i) {
        if (SubjectKindName(static_cast<SubjectKind>(i)) != one.text) continue;
        sink_.kinds.push_back(static_cast<SubjectKind>(i));
        known = true;
      }
      if (known) continue;
      reader_->Error(one.place,
                     absl::StrCat("for: '", one.text,
                                  "' is neither a kind of subject, such as \"domain\" or "
                                  "\"login\", nor \"tag:NAME\" of the policy"));
    }
  }

  void ReadTimes() {
    if (auto quiet = table_->String("quiet_hours")) {
      const std::vector<std::string> ends = absl::StrSplit(quiet->text, '-');
      const auto from = ends.size() == 2 ? MinuteOfDay(ends[0]) : std::nullopt;
      const auto until = ends.size() == 2 ? MinuteOfDay(ends[1]) : std::nullopt;
      if (from.has_value() && until.has_value() && *from != *until) {
        sink_.quiet_from = *from;
        sink_.quiet_until = *until;
      } else {
        reader_->Error(quiet->place, "quiet_hours: write two times such as \"22:00-07:00\"");
      }
    }
    if (auto digest = table_->String("digest")) {
      sink_.digest = MinuteOfDay(digest->text);
      if (!sink_.digest.has_value()) {
        reader_->Error(digest->place, "digest: write a time of day such as \"07:00\"");
      }
    }
    if (auto most = table_->Integer("per_subject_per_hour", 1, 1'000)) {
      sink_.per_subject_per_hour = *most;
    }
    if (auto batch = table_->Duration("batch")) sink_.batch = *batch;
    if (auto expire = table_->Duration("expire")) sink_.expire = *expire;
    if (auto timeout = table_->Duration("timeout")) sink_.timeout = *timeout;
  }

  void CheckLanguage(const TomlText& language) {
    if (absl::c_linear_search(kLanguages, absl::string_view(language.text))) return;
    reader_->Error(language.place, absl::StrCat("language '", language.text, "' is not there; use ",
                                                absl::StrJoin(kLanguages, " or ")));
  }

  void CheckTemplate(const TomlText& text, absl::Span<const absl::string_view> names) {
    size_t at = 0;
    while ((at = text.text.find('{', at)) != std::string::npos) {
      const size_t end = text.text.find('}', at);
      const std::string name =
          end == std::string::npos ? "" : text.text.substr(at + 1, end - at - 1);
      if (!absl::c_linear_search(names, absl::string_view(name))) {
        reader_->Error(text.place, absl::StrCat("template: {", name, "} is not known; use {",
                                                absl::StrJoin(names, "}, {"), "}"));
      }
      at = end == std::string::npos ? text.text.size() : end + 1;
    }
    if (absl::c_any_of(text.text, [](char c) { return absl::ascii_iscntrl(c); })) {
      reader_->Error(text.place, "template: control characters are not allowed");
    }
  }

  std::string ReadSecret(absl::string_view key) {
    auto path = table_->String(key);
    if (!path.has_value()) return "";
    absl::StatusOr<std::string> text = ReadTextFile(path->text);
    if (!text.ok()) {
      reader_->Error(path->place, text.status().message());
      return "";
    }
    std::string secret(absl::StripAsciiWhitespace(*text));
    if (secret.empty()) reader_->Error(path->place, absl::StrCat(path->text, ": is empty"));
    return secret;
  }

  void ReadMail() {
    if (auto host = table_->String("host")) {
      sink_.host = host->text;
      int port = 0;
      const size_t colon = host->text.rfind(':');
      if (colon == std::string::npos || colon == 0 ||
          !absl::SimpleAtoi(host->text.substr(colon + 1), &port) || port < 1 || port > 65535 ||
          host->text.find_first_of("/@ ?#") != std::string::npos) {
        reader_->Error(host->place, "host: write HOST:PORT, such as \"127.0.0.1:25\"");
      }
    }
    if (auto from = table_->String("from")) {
      sink_.from = from->text;
      if (!IsAddress(from->text)) reader_->Error(from->place, "from: is not a mail address");
    }
    for (const TomlText& one : table_->Strings("to")) {
      sink_.to.push_back(one.text);
      if (!IsAddress(one.text)) {
        reader_->Error(one.place, absl::StrCat("to: '", one.text, "' is not a mail address"));
      }
    }
    if (auto owner = table_->String("owner")) {
      sink_.owner = owner->text;
      CheckTemplate(*owner, kOwnerNames);
      if (!IsAddress(FillTemplate(owner->text, {{"domain", "example.com"}}))) {
        reader_->Error(owner->place,
                       "owner: is not a mail address; write \"postmaster@{domain}\", for example");
      }
    }
    for (const TomlText& path : table_->Strings("owners")) ReadOwners(path);
    if (sink_.to.empty() != sink_.ToOwner()) {
      reader_->Error(
          table_->place(),
          absl::StrCat("notice.", sink_.name,
                       sink_.to.empty() ? ": give `to` (addresses) or `owner` (a template)"
                                        : ": has both `to` and `owner`; make two tables of it"));
    }
    if (auto tls = table_->Bool("tls")) sink_.tls = *tls;
    if (auto user = table_->String("user")) sink_.user = user->text;
    sink_.password = ReadSecret("password_file");
    if (sink_.user.empty() != sink_.password.empty()) {
      reader_->Error(table_->place(),
                     absl::StrCat("notice.", sink_.name, ": give both user and password_file"));
    }
    const bool here = absl::StartsWith(sink_.host, "127.0.0.1:") ||
                      absl::StartsWith(sink_.host, "[::1]:") ||
                      absl::StartsWith(sink_.host, "localhost:");
    if (!sink_.user.empty() && !sink_.tls && !here) {
      reader_->Error(table_->PlaceOf("user"),
                     "user: the password would cross the network where anybody may ask for it; set "
                     "tls = true");
    }
    if (auto title = table_->String("title")) {
      sink_.title = title->text;
      CheckTemplate(*title, kTitleNames);
    }
  }

  // "example.com: owner@example.net de", a line each.
  void ReadOwners(const TomlText& path) {
    absl::StatusOr<std::string> text = ReadTextFile(path.text);
    if (!text.ok()) return reader_->Error(path.place, text.status().message());
    int number = 0;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      ++number;
      line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
      if (line.empty()) continue;
      const std::vector<absl::string_view> words =
          absl::StrSplit(line, absl::ByAnyChar(": \t"), absl::SkipEmpty());
      // A line of colons has no words.
      const absl::StatusOr<DomainName> domain =
          DomainName::Parse(words.empty() ? "" : words.front());
      const bool language = words.size() < 3 || absl::c_linear_search(kLanguages, words[2]);
      if (!domain.ok() || words.size() < 2 || words.size() > 3 || !IsAddress(words[1]) ||
          !language) {
        reader_->Error(path.place, absl::StrCat(path.text, ":", number,
                                                ": write 'DOMAIN: ADDRESS' or 'DOMAIN: ADDRESS "
                                                "LANGUAGE'"));
        continue;
      }
      sink_.owners[domain->text()] = {std::string(words[1]),
                                      std::string(words.size() > 2 ? words[2] : "")};
    }
  }

  void ReadWebhook() {
    auto url = table_->String("url");
    if (!url.has_value() ||
        (!absl::StartsWith(url->text, "https://") && !absl::StartsWith(url->text, "http://"))) {
      reader_->Error(table_->PlaceOf("url"),
                     absl::StrCat("notice.", sink_.name, ": give a url that begins with https://"));
    }
    if (url.has_value()) sink_.url = url->text;
    sink_.secret = ReadSecret("secret_file");
    if (auto allow = table_->Bool("allow_private")) sink_.allow_private = *allow;
  }

  TomlReader* const reader_;
  TomlTable* const table_;
  NoticeSink sink_;
};

}  // namespace

std::vector<NoticeSink> ReadNoticeSinks(TomlReader* reader, TomlTable* root,
                                        std::vector<std::string>* warnings) {
  std::vector<NoticeSink> sinks;
  for (const auto& [name, table] : root->Tables("notice")) {
    const bool plain = !name.empty() && absl::c_all_of(name, [](char c) {
      return absl::ascii_isalnum(c) || c == '-' || c == '_';
    });
    if (!plain) {
      reader->Error(table->place(), absl::StrCat("notice: the name '", name,
                                                 "' may have letters, digits, '-' and '_' only"));
    }
    sinks.push_back(SinkReader(reader, table, name).Read());
  }
  const bool all_mail = absl::c_all_of(
      sinks, [](const NoticeSink& one) { return one.type == NoticeSink::Type::kMail; });
  if (!sinks.empty() && all_mail) {
    warnings->push_back(
        "[notice]: every notice goes by mail, so trouble with mail itself may not be reported; add "
        "a webhook or a command");
  }
  return sinks;
}

std::string FillTemplate(const std::string& text,
                         const std::map<std::string, std::string>& values) {
  std::string filled;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text[at] == '{' ? text.find('}', at) : std::string::npos;
    const auto value =
        end == std::string::npos ? values.end() : values.find(text.substr(at + 1, end - at - 1));
    if (value == values.end()) {
      filled += text[at++];
    } else {
      filled += value->second;
      at = end + 1;
    }
  }
  return filled;
}

}  // namespace deferd

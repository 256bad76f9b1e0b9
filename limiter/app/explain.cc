#include "limiter/app/explain.h"

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "policy/reply_class.h"
#include "policy/reply_text.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kColumns = 80;
constexpr size_t kIndent = 12;
constexpr size_t kShownReply = 800;

Json OrNull(absl::string_view text) {
  return text.empty() ? Json(nullptr) : Json(PrintableUtf8(text));
}

// "label       text", wrapped between words; a longer word is cut hard. Columns are bytes, so that
// a line of other scripts is shorter, never longer.
void AppendField(std::string* out, absl::string_view label, absl::string_view text) {
  std::string line = absl::StrCat(label, std::string(kIndent - label.size(), ' '));
  bool empty = true;
  const auto flush = [&] {
    absl::StrAppend(out, line, "\n");
    line.assign(kIndent, ' ');
    empty = true;
  };
  for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (!empty && line.size() + 1 + word.size() > kColumns) flush();
    while (kIndent + word.size() > kColumns) {
      const absl::string_view part = CutUtf8(word, kColumns - kIndent);
      absl::StrAppend(&line, part);
      flush();
      word.remove_prefix(part.size());
    }
    if (word.empty()) continue;
    absl::StrAppend(&line, empty ? "" : " ", word);
    empty = false;
  }
  if (!empty) flush();
}

absl::string_view ScopeInWords(ReplyScope scope) {
  switch (scope) {
    case ReplyScope::kRecipient:
      return "this recipient";
    case ReplyScope::kSenderDomain:
      return "the sender, its domain or its message";
    case ReplyScope::kIp:
      return "the IP address of the sending server, so all of its domains";
    case ReplyScope::kServer:
      return "the sending server itself";
    case ReplyScope::kDestination:
      return "the receiving server or domain, whoever writes to it";
  }
  return "";
}

// Up to `max` bytes of one line go into `line`, the rest of it nowhere.
bool ReadLine(std::istream& in, size_t max, std::string* line) {
  line->clear();
  std::streambuf* const bytes = in.rdbuf();
  int c = bytes->sbumpc();
  if (c == std::char_traits<char>::eof()) return false;
  for (; c != std::char_traits<char>::eof() && c != '\n'; c = bytes->sbumpc()) {
    if (line->size() < max) line->push_back(static_cast<char>(c));
  }
  return true;
}

}  // namespace

Json ExplainJson(const Classification& classification) {
  const ReplyClassInfo& info = InfoOf(classification.reply_class);
  return {{"class", std::string(info.name)},
          {"scope", std::string(ReplyScopeName(classification.scope))},
          {"permanence", std::string(PermanenceName(classification.permanence))},
          {"code", classification.code == 0 ? Json(nullptr) : Json(classification.code)},
          {"enhanced", OrNull(classification.enhanced)},
          {"provider", OrNull(classification.provider)},
          {"rule", OrNull(classification.rule)},
          {"meaning", std::string(info.meaning)},
          {"side", std::string(info.side)},
          {"advice", std::string(info.advice)}};
}

std::string ExplainPage(absl::string_view reply, const Classification& classification) {
  const ReplyClassInfo& info = InfoOf(classification.reply_class);
  const bool permanent = classification.permanence == Permanence::kPermanent;
  const absl::string_view shown = CutUtf8(reply, kShownReply);
  std::string out;
  AppendField(&out, "answer",
              absl::StrCat(PrintableUtf8(shown), shown.size() < reply.size() ? " ..." : ""));
  AppendField(&out, "meaning", info.meaning);
  AppendField(&out, "final?",
              permanent ? "Yes: this message will not be delivered."
                        : "No: the sending server tries again by itself.");
  AppendField(&out, "who acts", info.side);
  AppendField(&out, "what to do", info.advice);
  AppendField(&out, "is about", ScopeInWords(classification.scope));
  std::string details(info.name);
  if (classification.code != 0) absl::StrAppend(&details, ", code ", classification.code);
  if (!classification.enhanced.empty()) {
    absl::StrAppend(&details, classification.code == 0 ? ", code " : " ", classification.enhanced);
  }
  if (!classification.provider.empty()) absl::StrAppend(&details, ", ", classification.provider);
  AppendField(&out, "class", details);
  AppendField(&out, "rule", classification.rule.empty() ? "none" : classification.rule);
  out += "\n";
  return out;
}

absl::Status Explain(const ReplyClassifier& classifier, const std::string& text, bool json,
                     std::istream& in,
                     const std::function<absl::Status(const std::string&)>& print) {
  const auto answer = [&](const std::string& reply) {
    const Classification classification = classifier.Classify(reply);
    return print(json ? Dump(ExplainJson(classification)) + "\n"
                      : ExplainPage(reply, classification));
  };
  if (text != "-") return answer(text);
  std::string line;
  while (ReadLine(in, kMaxReplyText, &line)) {
    if (absl::Status status = answer(line); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace deferd

#include "limiter/admin/explain.h"

#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "policy/refusal_text.h"
#include "policy/reply/reply_class.h"
#include "policy/reply/reply_codes.h"
#include "policy/reply/reply_text.h"
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

// A sentence about trying again by itself is wrong after a final answer.
std::string WithoutRetry(absl::string_view advice) {
  constexpr absl::string_view kRetries = "The sending server tries again.";
  if (!absl::ConsumePrefix(&advice, kRetries)) return std::string(advice);
  advice = absl::StripAsciiWhitespace(advice);
  return advice.empty() ? "Send the message again later." : std::string(advice);
}

// What is known of one answer besides its class.
struct Explained {
  std::string meaning;
  std::string side;
  std::string advice;
  std::string final;
  std::optional<ReplyCodeInfo> code;  // of its code, where the words say little
  std::string code_text;              // "550 5.1.1"
  bool by_table = false;  // the meaning is a code's or a status word's, so it is certain
  bool of_class = true;   // the class and scope say something
};

// The words beside the codes are too few to say anything.
bool IsCodesAlone(absl::string_view reply) {
  for (absl::string_view word :
       absl::StrSplit(reply, absl::ByAnyChar(" \t-:"), absl::SkipEmpty())) {
    if (word.find_first_not_of("0123456789.#()") != absl::string_view::npos) return false;
  }
  return true;
}

std::string OfRefusal(const SaidRefusal& said) {
  const std::string who = said.subject.empty() ? "the domain" : said.subject;
  if (said.by_person) {
    return absl::StrCat("An administrator of the sending server stopped the mail of ", who, ".");
  }
  if (said.what == "emails" || said.what == "recipients") {
    std::string sent = absl::StrCat("The sending server itself stopped the mail of ", who,
                                    ", because it sent too much, whatever became of it.");
    if (said.min_bad > 0) {
      absl::StrAppend(&sent, " It sent ", said.bad, said.what == "emails" ? " messages" : "",
                      said.what == "recipients" ? " recipients" : "", " where ", said.min_bad,
                      " are allowed.");
    }
    return sent;
  }
  std::string text = absl::StrCat("The sending server itself stopped the mail of ", who,
                                  ", because too many of its deliveries were deferred or failed.");
  if (said.min_bad > 0) {
    absl::StrAppend(&text, " ", said.bad, " went wrong, of at least ", said.min_bad,
                    " that the rule asks for; they were ", said.percent,
                    "% of all deliveries (which is not the limit).");
  }
  return text;
}

Explained ExplainOne(absl::string_view reply, const Classification& classification) {
  const ReplyClassInfo& info = InfoOf(classification.reply_class);
  const bool permanent = classification.permanence == Permanence::kPermanent;
  Explained one = {.meaning = std::string(info.meaning),
                   .side = std::string(info.side),
                   .advice = std::string(AdviceOf(info.id, classification.permanence)),
                   .final = permanent ? "Yes: this message will not be delivered."
                                      : "No: the sending server tries again by itself."};
  if (classification.code != 0) one.code_text = absl::StrCat(classification.code);
  if (!classification.enhanced.empty()) {
    absl::StrAppend(&one.code_text, one.code_text.empty() ? "" : " ", classification.enhanced);
  }
  if (std::optional<ReplyCodeInfo> state = StateWordInfoOf(reply)) {
    one.meaning = std::string(state->meaning);
    one.advice = std::string(state->action);
    one.side = state->action.substr(0, 7) == "Nothing" ? "nobody" : "see the server's answer";
    one.by_table = true;
    one.of_class = false;
    const bool done = absl::c_linear_search(
        std::vector<absl::string_view>{"sent", "delivered", "archived", "filtered"},
        absl::AsciiStrToLower(state->code));
    const bool over = absl::c_linear_search(
        std::vector<absl::string_view>{"bounced", "failed", "expired", "rejected", "discarded"},
        absl::AsciiStrToLower(state->code));
    one.final = done   ? "Yes: nothing more happens."
                : over ? "Yes: this message will not be delivered."
                       : "No: the message is still on its way.";
    return one;
  }
  if (classification.code == kSuccessCode) {
    const absl::string_view code = absl::StripLeadingAsciiWhitespace(reply).substr(0, 3);
    one.code = ReplyCodeInfoOf(code);
    one.code_text = std::string(code);
    one.by_table = true;
    one.of_class = false;
    one.meaning = std::string(one.code.has_value() ? one.code->meaning : "The server agreed.");
    one.side = "nobody";
    one.advice = "Nothing to do: this is not an error.";
    one.final = "Yes: the server agreed.";
    return one;
  }
  if (classification.rule.substr(0, 10) == "local.own_") {
    if (std::optional<SaidRefusal> said = FindRefusal(reply)) {
      one.meaning = OfRefusal(*said);
      one.advice = absl::StrCat("deferctl why ", said->subject.empty() ? "DOMAIN" : said->subject,
                                " shows which messages caused it and when it ends. Stop their "
                                "cause: wrong addresses, or somebody who sends spam by it.");
      return one;
    }
  }
  if (!classification.enhanced.empty() && !absl::EndsWith(classification.enhanced, ".0.0")) {
    one.code = EnhancedCodeInfoOf(classification.enhanced);
  } else if (classification.code != 0) {
    one.code = ReplyCodeInfoOf(absl::StrCat(classification.code));
  }
  one.by_table = IsCodesAlone(reply) && one.code.has_value();
  if (one.by_table) {
    one.meaning = std::string(one.code->meaning);
    one.advice = std::string(one.code->action);
    // What a code alone says about trying again must not contradict its first digit.
    if (permanent) one.advice = WithoutRetry(one.advice);
  }
  return one;
}

}  // namespace

Json ExplainJson(absl::string_view reply, const Classification& classification) {
  const ReplyClassInfo& info = InfoOf(classification.reply_class);
  const Explained one = ExplainOne(reply, classification);
  return {{"class", std::string(info.name)},
          {"scope", std::string(ReplyScopeName(classification.scope))},
          {"permanence", std::string(PermanenceName(classification.permanence))},
          {"code", classification.code == 0 ? Json(nullptr) : Json(classification.code)},
          {"enhanced", OrNull(classification.enhanced)},
          {"provider", OrNull(classification.provider)},
          {"rule", OrNull(classification.rule)},
          {"confidence", std::round(classification.confidence * 1000) / 1000},
          {"meaning", one.meaning},
          {"side", one.side},
          {"advice", one.advice}};
}

std::string ExplainPage(absl::string_view reply, const Classification& classification) {
  const ReplyClassInfo& info = InfoOf(classification.reply_class);
  const Explained one = ExplainOne(reply, classification);
  const absl::string_view shown = CutUtf8(reply, kShownReply);
  const bool unsure = classification.confidence < kUnsureReply;
  std::string out;
  AppendField(&out, "answer",
              absl::StrCat(PrintableUtf8(shown), shown.size() < reply.size() ? " ..." : ""));
  AppendField(&out, "meaning",
              unsure && !one.by_table ? absl::StrCat("Not sure; most likely: ", one.meaning,
                                                     " Read the answer itself, above.")
                                      : one.meaning);
  AppendField(&out, "final?", one.final);
  AppendField(&out, "who acts", one.side);
  AppendField(&out, "what to do", one.advice);
  if (one.code.has_value() && !one.by_table) {
    AppendField(&out, "code", absl::StrCat(one.code_text, ": ", one.code->meaning));
  }
  if (!one.of_class) return out + "\n";
  if (!unsure) AppendField(&out, "is about", ScopeInWords(classification.scope));
  std::string details(info.name);
  if (!one.code_text.empty()) absl::StrAppend(&details, ", code ", one.code_text);
  if (!classification.provider.empty()) absl::StrAppend(&details, ", ", classification.provider);
  absl::StrAppendFormat(&details, ", confidence %.2f%s", classification.confidence,
                        unsure ? ": a guess" : "");
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
    return print(json ? Dump(ExplainJson(reply, classification)) + "\n"
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

#include "exporter/notice/message.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "exporter/notice/catalogue.h"
#include "limiter/config/notice_config.h"
#include "policy/fault.h"
#include "policy/reply/reply_class.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxTitle = 150;
constexpr size_t kMaxText = 500;
constexpr size_t kMaxNamed = 3;

std::string Clean(absl::string_view text, size_t most = kMaxText) {
  return std::string(CutUtf8(PrintableUtf8(text), most));
}

Json FactsOf(const Notice& notice) {
  Json facts = Json::parse(notice.facts, nullptr, /*allow_exceptions=*/false);
  return facts.is_object() ? facts : Json::object();
}

std::string Fill(absl::string_view text, const std::map<std::string, std::string>& values) {
  return FillTemplate(std::string(text), values);
}

std::string Title(const Notice& notice, const Json& facts, const Catalogue& words) {
  const std::string where = Field(facts, "where");
  return Clean(
      Fill(words.titles[static_cast<size_t>(notice.kind)],
           {{"subject", notice.subject.empty() ? "deferd" : notice.subject}, {"where", where}}),
      kMaxTitle);
}

const Json& ListAt(const Json& json, const char* name) {
  static const Json& none = *new Json(Json::array());
  const Json& list = At(json, name);
  return list.is_array() ? list : none;
}

std::string Who(const Json& why, const Catalogue& words) {
  std::vector<std::string> items;
  for (const Json& one : ListAt(At(why, "causes"), "who")) {
    if (items.size() == kMaxNamed) break;
    const int64_t bad = Number(one, "bad");
    if (bad == 0) continue;
    items.push_back(Fill(words.sent_of, {{"name", Field(one, "name")},
                                         {"bad", absl::StrCat(bad)},
                                         {"sent", absl::StrCat(bad + Number(one, "delivered"))}}));
  }
  return absl::StrJoin(items, "; ");
}

// "27 addresses do not exist", in this language.
std::string Answered(int64_t count, absl::string_view reply_class, const Catalogue& words) {
  const AnswerWords& answer =
      WordsOf(ParseReplyClass(reply_class).value_or(ReplyClass::kUnclassified));
  return count == 1 ? std::string(Translated(words, answer.one))
                    : absl::StrCat(count, " ", Translated(words, answer.many));
}

std::string What(const Json& why, const Catalogue& words) {
  std::vector<std::pair<int64_t, std::string>> ranked;
  for (const Json& one : ListAt(At(why, "causes"), "answers")) {
    const int64_t count = Number(one, "count");
    if (count == 0) continue;
    ranked.emplace_back(-count, Answered(count, Field(one, "class"), words));
  }
  std::sort(ranked.begin(), ranked.end());
  if (ranked.size() > kMaxNamed) ranked.resize(kMaxNamed);
  return absl::StrJoin(ranked, "; ",
                       [](std::string* out, const auto& one) { absl::StrAppend(out, one.second); });
}

void AddWhy(const Json& why, const Catalogue& words, NoticeMessage* message) {
  const auto add = [&](absl::string_view label, const std::string& text) {
    if (!text.empty()) message->lines.emplace_back(std::string(label), Clean(text));
  };
  add(words.who, Who(why, words));
  add(words.what, What(why, words));
  const Json& fault = At(why, "fault");
  const std::string trouble = Field(fault, "trouble");
  if (trouble.empty() || trouble == "none") return;
  add(words.fault, std::string(Translated(words, Field(fault, "fault"))));
  std::vector<std::string> remedies;
  for (const Json& one : ListAt(fault, "remedies")) {
    if (one.is_string()) remedies.emplace_back(Translated(words, one.get<std::string>()));
  }
  add(words.remedy, absl::StrJoin(remedies, "; "));
}

// The facts of RunningDaemon::Digest.
void AddDigest(const Json& facts, const Catalogue& words, NoticeMessage* message) {
  const auto add = [&](absl::string_view label, const std::string& text) {
    if (!text.empty()) message->lines.emplace_back(std::string(label), Clean(text));
  };
  const Json& kinds = At(facts, "kinds");
  for (int i = 0; i < kNoticeKinds; ++i) {
    const auto kind = static_cast<NoticeKind>(i);
    const Json& listed = At(kinds, std::string(InfoOf(kind).name).c_str());
    std::vector<std::string> names;
    for (const Json& one : ListAt(listed, "names")) {
      if (one.is_string()) names.push_back(one.get<std::string>());
    }
    std::string text = absl::StrJoin(names, ", ");
    if (const int64_t more = Number(listed, "more"); more > 0) {
      text = Fill(words.more_names, {{"names", text}, {"count", absl::StrCat(more)}});
    }
    add(words.kinds[static_cast<size_t>(i)], text);
  }
  const Json& held = At(facts, "held");
  if (Number(held, "messages") > 0) {
    add(words.held, Fill(words.held_text, {{"count", absl::StrCat(Number(held, "messages"))},
                                           {"since", Field(held, "since")}}));
  }
  std::vector<std::string> top, classes;
  for (const Json& one : ListAt(facts, "top")) {
    top.push_back(Fill(words.top_text, {{"subject", Field(one, "subject")},
                                        {"bad", absl::StrCat(Number(one, "bad"))},
                                        {"sent", absl::StrCat(Number(one, "sent"))}}));
  }
  add(words.top, absl::StrJoin(top, ", "));
  for (const Json& one : ListAt(facts, "classes")) {
    const int64_t count = Number(one, "count");
    const std::string answered = Answered(count, Field(one, "class"), words);
    // "{count} {answer}" is one phrase where the count is 1.
    classes.push_back(
        Fill(words.class_text,
             {{"count", absl::StrCat(count)},
              {"answer", answered.substr(std::min(answered.size(), answered.find(' ') + 1))},
              {"before", one.contains("before") && one["before"].is_number_integer()
                             ? absl::StrCat(Number(one, "before"))
                             : std::string(words.not_known)}}));
  }
  add(words.classes, absl::StrJoin(classes, "; "));
}

}  // namespace

NoticeMessage MessageOf(const Notice& notice, const Json& why, int folded,
                        absl::string_view language, NoticeReader reader) {
  const Catalogue& words = CatalogueOf(language);
  const Json facts = FactsOf(notice);
  NoticeMessage message;
  message.title = Title(notice, facts, words);
  message.severity = InfoOf(notice.kind).severity;
  message.thread = notice.thread;
  message.id = notice.id;
  message.secret = notice.secret;
  message.footer = std::string(words.footer);
  const auto add = [&](absl::string_view label, const std::string& text) {
    if (!text.empty()) message.lines.emplace_back(std::string(label), Clean(text));
  };
  const bool manual = Flag(facts, "manual");
  const bool ended = notice.kind == NoticeKind::kUnblocked;
  if (notice.kind == NoticeKind::kBlocked || notice.kind == NoticeKind::kExtended) {
    add(words.until,
        Flag(facts, "permanent") ? std::string(words.for_ever) : Field(facts, "until"));
  }
  if (facts.contains("min_bad") && !manual && !ended) {
    std::map<std::string, std::string> values;
    for (const char* name : {"bad", "of", "percent", "min_bad", "percent_limit"}) {
      values[name] = absl::StrCat(Number(facts, name));
    }
    values["counted"] = std::string(Translated(words, Field(facts, "counted")));
    const bool share = Field(facts, "measure") == "bad" && Number(facts, "percent_limit") > 0;
    add(words.limit, Fill(share ? words.limit_text : words.count_text, values));
  }
  if (manual || ended) {
    const bool person = ended ? Flag(facts, "ended_by_person") : manual;
    const std::string by = Field(facts, ended ? "ended_by" : "by");
    const bool hidden = reader == NoticeReader::kOwner && by != "owner";
    if (person) add(words.who, hidden ? std::string(words.our_people) : by);
    add(words.reason, Field(facts, ended ? "ended_reason" : "reason"));
  }
  if (why.is_object() && !manual) AddWhy(why, words, &message);
  add(words.where, Field(facts, "where"));
  add(words.answer, Field(facts, "reply"));
  add(words.case_id, Field(facts, "case"));
  add(words.what, Field(facts, "what"));
  add(words.remedy, std::string(Translated(words, Field(facts, "remedy"))));
  if (notice.kind == NoticeKind::kDigest) AddDigest(facts, words, &message);
  for (const Json& one : ListAt(facts, "lines")) {
    if (one.is_array() && one.size() == 2 && one[0].is_string() && one[1].is_string()) {
      add(Clean(one[0].get<std::string>()), one[1].get<std::string>());
    }
  }
  if (folded > 0) add("", Fill(words.more, {{"count", absl::StrCat(folded)}}));
  return message;
}

NoticeMessage StormMessage(const std::vector<Notice>& notices, absl::string_view language) {
  const Catalogue& words = CatalogueOf(language);
  NoticeMessage message;
  message.title = Fill(words.storm_title, {{"count", absl::StrCat(notices.size())}});
  message.footer = std::string(words.footer);
  for (const Notice& one : notices) {
    message.severity = std::max(message.severity, InfoOf(one.kind).severity);
    message.id = one.id;
    message.secret = one.secret;
    if (message.lines.size() >= kStormLines) continue;
    message.lines.emplace_back(absl::FormatTime("%H:%M UTC", one.time, absl::UTCTimeZone()),
                               Title(one, FactsOf(one), words));
  }
  message.thread = absl::StrCat("storm-", message.id);
  if (notices.size() > kStormLines) {
    message.lines.emplace_back(
        "", Fill(words.dropped, {{"count", absl::StrCat(notices.size() - kStormLines)}}));
  }
  return message;
}

Json EventJson(const Notice& notice, const Json& why, absl::string_view node) {
  const NoticeMessage message = MessageOf(notice, why, 0, "en");
  const NoticeKindInfo& info = InfoOf(notice.kind);
  Json lines = Json::array();
  for (const auto& [label, text] : message.lines) {
    lines.push_back({{"label", label}, {"text", text}});
  }
  return {{"id", notice.id},
          {"event", std::string(info.name)},
          {"severity", std::string(SeverityName(info.severity))},
          {"time", FormatUtc(absl::FromUnixSeconds(absl::ToUnixSeconds(notice.time)))},
          {"subject", notice.subject},
          {"domain", notice.domain},
          {"thread", notice.thread},
          {"node", std::string(node)},
          {"title", message.title},
          {"lines", std::move(lines)},
          {"facts", FactsOf(notice)}};
}

Json EventSchema() {
  Json events = Json::array(), severities = Json::array();
  for (int i = 0; i < kNoticeKinds; ++i) {
    events.push_back(std::string(InfoOf(static_cast<NoticeKind>(i)).name));
  }
  for (Severity one : {Severity::kInfo, Severity::kWarning, Severity::kCritical}) {
    severities.push_back(std::string(SeverityName(one)));
  }
  const auto of = [](const char* key, Json value) {
    Json json = Json::object();
    json[key] = std::move(value);
    return json;
  };
  const Json text = of("type", "string");
  Json properties = Json::object(), required = Json::array();
  properties["id"] = text;
  properties["event"] = of("enum", events);
  properties["severity"] = of("enum", severities);
  properties["time"] = {{"type", "string"}, {"format", "date-time"}};
  for (const char* name : {"subject", "domain", "thread", "node", "title"}) properties[name] = text;
  Json line = {{"type", "object"}, {"properties", {{"label", text}, {"text", text}}}};
  properties["lines"] = {{"type", "array"}, {"items", std::move(line)}};
  properties["facts"] = of("type", "object");
  for (const auto& [name, value] : properties.items()) required.push_back(name);
  return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
          {"title", "deferd event"},
          {"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)}};
}

}  // namespace deferd

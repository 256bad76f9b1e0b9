#include "limiter/store/codec.h"

#include <algorithm>
#include <iterator>

namespace deferd::codec {

Json Micros(absl::Time t) {
  if (t == absl::InfinitePast() || t == absl::InfiniteFuture()) return nullptr;
  return absl::ToUnixMicros(t);
}

absl::Time TimeOf(const Json& json, absl::Time otherwise) {
  return json.is_null() ? otherwise : absl::FromUnixMicros(json.get<int64_t>());
}

absl::Time TimeAt(const Json& json, const char* key, absl::Time otherwise) {
  auto it = json.find(key);
  return it == json.end() ? otherwise : TimeOf(*it, otherwise);
}

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json SubjectJson(const Subject& subject) {
  return Json::array({static_cast<int>(subject.kind), subject.id});
}

Subject SubjectOf(const Json& json) {
  return {EnumOf<SubjectKind>(json.at(0), kSubjectKinds), json.at(1).get<std::string>()};
}

Json ChargedJson(const ChargedSubjects& charged) {
  Json list = Json::array();
  for (const Charged& one : charged) list.push_back({SubjectJson(one.subject), one.hosted});
  return list;
}

ChargedSubjects ChargedOf(const Json& json) {
  ChargedSubjects charged;
  for (const Json& one : json) {
    charged.push_back({SubjectOf(one.at(0)), one.at(1).get<bool>()});
  }
  return charged;
}

int ClassNumber(const std::optional<ReplyClass>& reply_class) {
  return reply_class.has_value() ? static_cast<int>(*reply_class) : -1;
}

std::optional<ReplyClass> ClassOf(const Json& json) {
  if (json.get<int>() < 0) return std::nullopt;
  return EnumOf<ReplyClass>(json, kReplyClasses);
}

std::string Bytes(const Json& json) {
  std::string text;
  Json::to_msgpack(json, text);
  return text;
}

Json FromBytes(absl::string_view text) { return Json::from_msgpack(text.begin(), text.end()); }

Json FromText(absl::string_view text) {
  return Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

bool HasFraction(const Json& json) {
  if (json.is_number_float()) return true;
  return json.is_structured() && std::any_of(json.begin(), json.end(), HasFraction);
}

Json CountsJson(const Counts& counts) {
  Json json = {counts.delivered, counts.deferred, counts.failed};
  AppendRest(counts, &json);
  return json;
}

// As far as there is anything: versions before take no notice of what they do not know.
void AppendRest(const Counts& counts, Json* json) {
  const int64_t rest[] = {counts.surplus,         counts.rejected, counts.sent,
                          counts.sent_recipients, counts.classed,  counts.recipients};
  size_t last = std::size(rest);
  while (last > 0 && rest[last - 1] == 0) --last;
  for (size_t i = 0; i < last; ++i) json->push_back(rest[i]);
}

Counts CountsOf(const Json& json) {
  Counts counts = {json.at(0).get<int64_t>(), json.at(1).get<int64_t>(), json.at(2).get<int64_t>()};
  int64_t* const rest[] = {&counts.surplus,         &counts.rejected, &counts.sent,
                           &counts.sent_recipients, &counts.classed,  &counts.recipients};
  for (size_t i = 0; i < std::size(rest) && i + 3 < json.size(); ++i) {
    *rest[i] = json.at(i + 3).get<int64_t>();
  }
  return counts;
}

}  // namespace deferd::codec

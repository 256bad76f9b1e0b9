#include "limiter/store/codec.h"

#include <algorithm>

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

bool HasFraction(const Json& json) {
  if (json.is_number_float()) return true;
  return json.is_structured() && std::any_of(json.begin(), json.end(), HasFraction);
}

Json CountsJson(const Counts& counts) {
  Json json = {counts.delivered, counts.deferred, counts.failed};
  if (counts.surplus > 0 || counts.rejected > 0) json.push_back(counts.surplus);
  if (counts.rejected > 0) json.push_back(counts.rejected);
  return json;
}

Counts CountsOf(const Json& json) {
  return {json.at(0).get<int64_t>(), json.at(1).get<int64_t>(), json.at(2).get<int64_t>(),
          json.size() > 3 ? json.at(3).get<int64_t>() : 0,
          json.size() > 4 ? json.at(4).get<int64_t>() : 0};
}

}  // namespace deferd::codec

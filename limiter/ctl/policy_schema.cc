#include "limiter/ctl/policy_schema.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "policy/policy.h"
#include "policy/policy_keys.h"
#include "policy/reply/reply_class.h"

namespace deferd {

namespace {

Json OneOf(std::initializer_list<Json> choices) { return {{"anyOf", Json::array_t(choices)}}; }

// A table by source, or the deferrals and failures of a class.
Json TableOf(absl::string_view table) {
  Json properties = Json::object();
  if (table == "[classes]") {
    for (const char* key : {"deferred", "failed"}) properties[key] = {{"type", "string"}};
  } else {
    for (int i = 0; i < kSources; ++i) {
      properties[std::string(SourceName(static_cast<Source>(i)))] = {{"type", "string"}};
    }
  }
  return {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
}

Json TypeOf(const TomlKeyInfo& info) {
  const Json text = {{"type", "string"}};
  if (info.type == "string or list") {
    return OneOf({text, {{"type", "array"}, {"items", text}}});
  }
  if (info.type == "string or table") return OneOf({text, TableOf(info.table)});
  if (info.type == "duration") {
    return {{"type", "string"}, {"pattern", "^([0-9]+(s|m|h|d))+$"}};
  }
  return {{"type", std::string(info.type)}};
}

Json Closed() {
  return {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
}

// The schema of the table that a key of `table` stands in; made when it is new.
Json* TableAt(absl::string_view table, Json* root) {
  if (table.empty()) return root;
  absl::string_view name = absl::StripSuffix(absl::StripPrefix(table, "["), "]");
  const bool named = absl::ConsumeSuffix(&name, ".NAME");
  Json& one = (*root)["properties"][std::string(name)];
  if (one.is_null()) one = Closed();
  if (!named) return &one;
  Json& each = one["additionalProperties"];
  if (each.is_boolean()) each = Closed();
  return &each;
}

}  // namespace

Json PolicySchema() {
  Json root = Closed();
  root["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  root["title"] = "deferd policy";
  for (const TomlKeyInfo& info : PolicyKeys()) {
    Json key = TypeOf(info);
    key["description"] = absl::StrReplaceAll(info.help, {{"`", ""}});
    const std::string fallback = LiteralDefault(info);
    if (!fallback.empty()) key["default"] = Json::parse(fallback, nullptr, false);
    Json* const table = TableAt(info.table, &root);
    if (info.key == "CLASS") {
      for (const ReplyClassInfo& one : ReplyClassTable()) {
        (*table)["properties"][std::string(one.name)] = key;
      }
    } else {
      (*table)["properties"][std::string(info.key)] = std::move(key);
    }
  }
  return root;
}

}  // namespace deferd

#include "limiter/store/contribution_codec.h"

#include "limiter/store/codec.h"

namespace deferd {

using namespace codec;  // NOLINT: what every codec is written in

namespace {

constexpr int64_t kMostParts = 1 << 20;  // of a message

}  // namespace

std::string NameOf(const MessageKey& key, size_t part) {
  const std::string name = absl::StrCat(key.id, " ", absl::ToUnixMicros(key.arrival));
  return part == 0 ? name : absl::StrCat(name, " ", part);
}

std::string ContributionText(const MessageKey& key, const MessageRecord& record, size_t part) {
  Json recipients = Json::array();
  for (const auto& [name, recipient] : record.recipients.PartAt(part).entries) {
    const int outcome = recipient.outcome.has_value() ? static_cast<int>(*recipient.outcome) : -1;
    recipients.push_back({name, outcome, Micros(recipient.dated), Micros(recipient.last),
                          static_cast<int>(recipient.last_left_out),
                          ClassNumber(recipient.last_class), static_cast<int>(recipient.last_scope),
                          ClassNumber(recipient.left_out), recipient.place,
                          ClassNumber(recipient.counted_class)});
  }
  Json diluting = Json::array();
  record.dilution.ForEach(part * MessageRecord::kNames, (part + 1) * MessageRecord::kNames,
                          [&](uint64_t name, int32_t count) {
                            diluting.push_back({name, count});
                          });
  Json json = {{"id", key.id},
               {"arrival", Micros(key.arrival)},
               {"recipients", std::move(recipients)},
               {"diluting", std::move(diluting)}};
  if (part == 0) {
    json["charged"] = ChargedJson(record.charged);
    if (record.sent_recipients > 0) json["sent"] = record.sent_recipients;
  } else {
    json["part"] = part;
  }
  return Bytes(json);
}

absl::StatusOr<MessagePart> ParseContribution(absl::string_view text) {
  return Parse<MessagePart>(text, "contribution", [](const Json& json) {
    MessagePart result;
    result.message.id = json.at("id").get<std::string>();
    result.message.arrival = TimeOf(json.at("arrival"), absl::InfinitePast());
    const int64_t part = json.value("part", int64_t{0});
    if (part < 0 || part > kMostParts) throw UnknownValue("the number of a part is out of range");
    result.part = static_cast<size_t>(part);
    if (part == 0) result.charged = ChargedOf(json.at("charged"));
    result.sent_recipients = json.value("sent", int64_t{0});
    for (const Json& one : json.at("recipients")) {
      auto& [name, recipient] = result.recipients.emplace_back();
      name = one.at(0).get<std::string>();
      if (one.at(1).get<int>() >= 0)
        recipient.outcome = EnumOf<CountedOutcome>(one.at(1), kCountedOutcomes);
      recipient.dated = TimeOf(one.at(2), absl::InfinitePast());
      recipient.last = TimeOf(one.at(3), absl::InfinitePast());
      recipient.last_left_out = EnumOf<LeftOut>(one.at(4), kLeftOutReasons);
      if (one.size() < 9) continue;  // of a version that knew no classes
      recipient.last_class = ClassOf(one.at(5));
      recipient.last_scope = EnumOf<ReplyScope>(one.at(6), kReplyScopes);
      recipient.left_out = ClassOf(one.at(7));
      recipient.place = one.at(8).get<std::string>();
      if (one.size() > 9) recipient.counted_class = ClassOf(one.at(9));
    }
    for (const Json& one : json.value("diluting", Json::array())) {
      result.diluting.emplace_back(one.at(0).get<uint64_t>(), one.at(1).get<int32_t>());
    }
    return result;
  });
}

}  // namespace deferd

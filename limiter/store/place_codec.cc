#include "limiter/store/place_codec.h"

#include "limiter/store/codec.h"

namespace deferd {

using namespace codec;  // NOLINT: what every codec is written in

std::string NameOf(const Incidents::Key& key) {
  return absl::StrCat(ReplyScopeName(key.first), " ", key.second);
}

std::string PlaceText(const Incidents::Key& key, const Place& place) {
  Json failing = Json::array();
  for (const Witness& one : place.failing) {
    failing.push_back({SubjectJson(one.subject), Micros(one.time), one.identity, one.known});
  }
  Json incident = nullptr;
  if (place.incident.has_value()) {
    incident = {{"class", static_cast<int>(place.incident->reply_class)},
                {"reply", place.incident->reply},
                {"since", Micros(place.incident->since)},
                {"last", Micros(place.incident->last)},
                {"attempts", place.incident->attempts},
                {"subjects", Json(place.incident->subjects)},
                {"witnesses", Json(place.incident->witnesses)},
                {"taken_out_at", Micros(place.incident->taken_out_at)},
                {"taken_out_from", Micros(place.incident->taken_out_from)}};
  }
  Json contributions = Json::array();
  for (const PlaceContribution& one : place.contributions) {
    contributions.push_back({one.message.id, Micros(one.message.arrival), one.recipient,
                             ChargedJson(one.charged), Micros(one.dated),
                             static_cast<int>(one.outcome), one.cases_before,
                             ClassNumber(one.reply_class)});
  }
  return Bytes({{"scope", static_cast<int>(key.first)},
                {"where", key.second},
                {"failing", std::move(failing)},
                {"last", Micros(place.last)},
                {"recovered", place.recovered},
                {"incident", std::move(incident)},
                {"contributions", std::move(contributions)}});
}

absl::StatusOr<std::pair<Incidents::Key, Place>> ParsePlace(absl::string_view text) {
  return Parse<std::pair<Incidents::Key, Place>>(text, "incident", [](const Json& json) {
    std::pair<Incidents::Key, Place> result;
    auto& [key, place] = result;
    key = {EnumOf<ReplyScope>(json.at("scope"), kReplyScopes), json.at("where").get<std::string>()};
    for (const Json& one : json.at("failing")) {
      if (one.size() < 4) continue;  // of a version that asked for no proof
      place.failing.push_back({SubjectOf(one.at(0)), one.at(2).get<std::string>(),
                               TimeOf(one.at(1), absl::InfinitePast()), one.at(3).get<bool>()});
    }
    place.last = TimeAt(json, "last", absl::InfinitePast());
    place.recovered = json.at("recovered").get<int>();
    const Json& open = json.at("incident");
    if (!open.is_null()) {
      Incident& incident = place.incident.emplace();
      incident.scope = key.first;
      incident.where = key.second;
      incident.reply_class = EnumOf<ReplyClass>(open.at("class"), kReplyClasses);
      incident.reply = open.at("reply").get<std::string>();
      incident.since = TimeAt(open, "since", absl::InfinitePast());
      incident.last = TimeAt(open, "last", absl::InfinitePast());
      incident.attempts = open.at("attempts").get<int64_t>();
      for (const Json& subject : open.at("subjects")) {
        incident.subjects.insert(subject.get<std::string>());
      }
      for (const Json& witness : open.value("witnesses", Json::array())) {
        incident.witnesses.push_back(witness.get<std::string>());
      }
      // Versions before kept neither.
      incident.taken_out_at = TimeAt(open, "taken_out_at", absl::InfinitePast());
      incident.taken_out_from = TimeAt(open, "taken_out_from", absl::InfinitePast());
    }
    for (const Json& one : json.at("contributions")) {
      place.contributions.push_back(
          {{one.at(0).get<std::string>(), TimeOf(one.at(1), absl::InfinitePast())},
           one.at(2).get<std::string>(),
           ChargedOf(one.at(3)),
           TimeOf(one.at(4), absl::InfinitePast()),
           EnumOf<CountedOutcome>(one.at(5), kCountedOutcomes),
           one.at(6).get<int64_t>(),
           one.size() > 7 ? ClassOf(one.at(7)) : std::nullopt});
    }
    return result;
  });
}

}  // namespace deferd

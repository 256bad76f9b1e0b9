#include "limiter/store/clearing_codec.h"

#include "limiter/store/codec.h"

namespace deferd {

using namespace codec;  // NOLINT: what every codec is written in

std::string NameOf(const Subject& subject) {
  return absl::StrCat(SubjectKindName(subject.kind), ":", subject.id);
}

std::string ClearingText(const Subject& subject, const Cleared& cleared) {
  Json within = Json::array();
  for (const Subject& domain : cleared.within) within.push_back(SubjectJson(domain));
  return Bytes({{"subject", SubjectJson(subject)},
                {"enforced", Micros(cleared.enforced)},
                {"shadow", Micros(cleared.shadow)},
                {"apart", Micros(cleared.apart)},
                {"within", std::move(within)}});
}

absl::StatusOr<std::pair<Subject, Cleared>> ParseClearing(absl::string_view text) {
  return Parse<std::pair<Subject, Cleared>>(text, "clearing", [](const Json& json) {
    Cleared cleared = {.enforced = TimeAt(json, "enforced", absl::InfinitePast()),
                       .shadow = TimeAt(json, "shadow", absl::InfinitePast())};
    cleared.apart = TimeAt(json, "apart", cleared.enforced);
    for (const Json& domain : json.value("within", Json::array())) {
      cleared.within.push_back(SubjectOf(domain));
    }
    return std::make_pair(SubjectOf(json.at("subject")), std::move(cleared));
  });
}

}  // namespace deferd

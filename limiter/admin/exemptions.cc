#include "limiter/admin/exemptions.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "policy/organisation.h"
#include "policy/text.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {

Json OfTable(const Exemption& one) {
  return {
      {"source", "policy"},
      {"name", one.name},
      {"line", one.line},
      {"reason", one.reason},
      {"by", one.by},
      {"since", nullptr},
      {"until", one.until == absl::InfiniteFuture() ? Json(nullptr) : Json(FormatUtc(one.until))}};
}

Json OfList(const std::string& subject) {
  return {{"source", "policy"}, {"name", "[exempt] domains"},
          {"subject", subject}, {"line", nullptr},
          {"reason", ""},       {"by", ""},
          {"since", nullptr},   {"until", nullptr}};
}

// "*.a.example, login:bob@b.example, tag:news"
std::string Named(const Selection& who) {
  constexpr size_t kMost = 20;
  std::vector<std::string> names;
  for (const DomainPattern& pattern : who.listed.domains) names.push_back(pattern.ToString());
  for (const Subject& subject : who.listed.subjects) names.push_back(subject.ToString());
  absl::c_sort(names);
  for (const auto& tag : who.tags) names.push_back(absl::StrCat(kTagPrefix, tag->name));
  const size_t more = names.size() > kMost ? names.size() - kMost : 0;
  names.resize(names.size() - more);
  return absl::StrCat(absl::StrJoin(names, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : std::string());
}

}  // namespace

Json PersonsExemptionJson(const Case& exemption) {
  return {{"source", "person"},
          {"id", exemption.id},
          {"subject", exemption.subject.ToString()},
          {"reason", exemption.reason},
          {"by", exemption.by},
          {"since", FormatUtc(exemption.since)},
          {"until", exemption.permanent() ? Json(nullptr) : Json(FormatUtc(exemption.until))}};
}

Json PolicyExemptionJson(const Policy& policy, const Subject& subject, absl::string_view within,
                         absl::Time now) {
  for (const Exemption& one : policy.exemptions) {
    if (now >= one.until || !one.who.Matches(subject, within)) continue;
    Json json = OfTable(one);
    json["subject"] = Named(one.who);
    return json;
  }
  const absl::string_view domain = subject.DomainPart();
  if (policy.exempt.Matches(domain)) return OfList(std::string(domain));
  if (!within.empty() && policy.exempt.Matches(within)) return OfList(std::string(within));
  return nullptr;
}

Json ExemptionJson(const SubjectReport& report, const Policy& policy, const Subject& subject,
                   absl::Time now) {
  if (report.exemption.has_value()) return PersonsExemptionJson(*report.exemption);
  return PolicyExemptionJson(policy, subject, report.within.empty() ? "" : report.within.front().id,
                             now);
}

Json ExemptionsJson(const CaseTable& cases, const Policy& policy, absl::Time now) {
  Json list = Json::array();
  for (const Case& record : cases.Open()) {
    if (record.exempts() && record.Enforced(now)) list.push_back(PersonsExemptionJson(record));
  }
  for (const Exemption& one : policy.exemptions) {
    if (now >= one.until) continue;
    Json json = OfTable(one);
    json["subject"] = Named(one.who);
    list.push_back(std::move(json));
  }
  for (const DomainPattern& pattern : policy.exempt) list.push_back(OfList(pattern.ToString()));
  return list;
}

absl::StatusOr<Subject> ParseExempt(absl::string_view text, const Policy& policy) {
  absl::string_view tag = text;
  if (absl::ConsumePrefix(&tag, kTagPrefix)) {
    const bool known = absl::c_any_of(
        policy.tags, [&](const std::shared_ptr<const Tag>& one) { return one->name == tag; });
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrCat("the policy in force has no [tag.", PrintableUtf8(tag), "]"));
    }
    return Subject{SubjectKind::kDomain, std::string(text)};
  }
  if (absl::StrContains(text, '<') || absl::StrContains(text, '>')) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text),
                     " is an envelope sender, which anybody can claim; name who is charged: a "
                     "domain, a login, a local user, a script"));
  }
  absl::StatusOr<Subject> subject = Subject::Parse(text);
  if (!subject.ok()) return subject;
  if (IsPattern(*subject) && IsPublicSuffix(subject->id.substr(2))) {
    return absl::InvalidArgumentError(
        absl::StrCat(subject->id.substr(2), " is a public suffix; name the domains themselves"));
  }
  if (subject->kind != SubjectKind::kDomain && absl::StrContains(subject->id, '*')) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quoted(text), " names one ", SubjectKindName(subject->kind),
        " with a '*' in its name; for all of a domain name the domain, or \"*.example.com\""));
  }
  return subject;
}

}  // namespace deferd

#include "policy/charge.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "policy/text.h"

namespace deferd {

namespace {

std::optional<ChargeStep> StepNamed(absl::string_view name) {
  if (name == "login") return ChargeStep::kLogin;
  if (name == "user") return ChargeStep::kUser;
  if (name == "relay") return ChargeStep::kRelay;
  if (name == "sender") return ChargeStep::kSender;
  return std::nullopt;
}

// Hosting panels write "-system-" and "-remote-" where mail belongs to no customer.
absl::string_view IdentifiedDomain(const Identity& identity) {
  const absl::string_view domain = identity.identified_domain;
  return absl::StartsWith(domain, "-") ? absl::string_view() : domain;
}

absl::string_view Find(const absl::flat_hash_map<std::string, std::string>& map,
                       absl::string_view key) {
  if (map.empty()) return "";
  auto found = map.find(key);
  return found == map.end() ? absl::string_view() : absl::string_view(found->second);
}

// A map's value, which is a domain or an address.
absl::StatusOr<DomainName> DomainOf(absl::string_view value) {
  return DomainName::Parse(value.substr(value.rfind('@') + 1));
}

// An address that a forwarder put in place of the sender's: SRS0 or SRS1, and one of the three
// separators that the scheme allows.
bool IsRewrittenByForwarder(absl::string_view sender) {
  return sender.size() > 5 && absl::StartsWithIgnoreCase(sender, "SRS") &&
         (sender[3] == '0' || sender[3] == '1') &&
         (sender[4] == '=' || sender[4] == '-' || sender[4] == '+');
}

// Collects the subjects of one message, step by step until one charges somebody.
class Charger {
 public:
  Charger(const ChargeLists& lists, const Identity& identity, absl::string_view original)
      : lists_(lists), identity_(identity), original_(original) {}

  ChargedSubjects Take() { return std::move(charged_); }

  bool Try(ChargeStep step) {
    switch (step) {
      case ChargeStep::kLogin:
        Login();
        break;
      case ChargeStep::kUser:
        User();
        break;
      case ChargeStep::kRelay:
        Relay();
        break;
      case ChargeStep::kSender:
        Sender();
        break;
    }
    return !charged_.empty();
  }

  void Forward(absl::string_view original) {
    absl::StatusOr<DomainName> domain = DomainName::OfAddress(original);
    if (!domain.ok()) return;
    charged_.push_back({{SubjectKind::kForward, domain->text()}, Hosted(*domain)});
  }

 private:
  void Login() {
    const std::string& login = identity_.login;
    if (login.empty()) return;
    const size_t at = login.rfind('@');
    absl::string_view owner = Find(lists_.logins, login);
    if (owner.empty() && at != std::string::npos) {
      absl::StatusOr<DomainName> domain =
          DomainName::Parse(absl::string_view(login).substr(at + 1));
      if (!domain.ok()) {
        charged_.push_back({{SubjectKind::kLogin, login}});
        return;
      }
      // What Subject::Narrow would make of it, without reading the domain again.
      Inside({SubjectKind::kLogin,
              absl::StrCat(absl::string_view(login).substr(0, at + 1), domain->text())},
             *domain);
      return;
    }
    for (absl::string_view one : {owner, IdentifiedDomain(identity_), Find(lists_.users, login)}) {
      if (one.empty()) continue;
      absl::StatusOr<DomainName> domain = DomainOf(one);
      if (domain.ok()) return Inside(Subject::Narrow(SubjectKind::kLogin, login), *domain);
    }
    Alone(SubjectKind::kLogin, login);
  }

  void User() {
    const absl::string_view identified = IdentifiedDomain(identity_);
    if (identity_.user.empty()) {
      if (identity_.login.empty() && !identity_.host.empty() && !identified.empty()) {
        Whole(DomainName::Parse(identified));
      }
      return;
    }
    for (absl::string_view owner : {identified, Find(lists_.users, identity_.user)}) {
      if (owner.empty()) continue;
      absl::StatusOr<DomainName> domain = DomainOf(owner);
      if (!domain.ok()) continue;
      Inside(Subject::Narrow(SubjectKind::kAccount, identity_.user), *domain);
      return;
    }
    Alone(SubjectKind::kLocal, identity_.user);
  }

  void Relay() {
    if (!identity_.sender_vouched && !Host()) return;
    if (IsRewrittenByForwarder(identity_.sender)) {
      Forward(identity_.sender);
    } else {
      Sender();
    }
  }

  // Charges the client host; whether its envelope senders are believed too.
  bool Host() {
    if (identity_.host.empty()) return false;
    const bool relay = lists_.relay_hosts.ContainsAddress(identity_.host);
    std::optional<Subject> host = HostSubject(identity_.host);
    if (!host.has_value() || (!relay && !IsLoopbackHost(*host))) return relay;
    // What is forwarded may be mail from outside that a filter handed back.
    if (!relay && !original_.empty()) return false;
    charged_.push_back({*std::move(host)});
    return relay;
  }

  void Sender() {
    if (!identity_.sender.empty()) Whole(DomainName::OfAddress(identity_.sender));
  }

  void Whole(const absl::StatusOr<DomainName>& domain) {
    if (domain.ok()) charged_.push_back({Subject::Domain(*domain), Hosted(*domain)});
  }

  void Inside(Subject narrower, const DomainName& domain) {
    charged_.push_back({std::move(narrower)});
    charged_.push_back({Subject::Domain(domain), Hosted(domain)});
  }

  void Alone(SubjectKind kind, absl::string_view name) {
    charged_.push_back({Subject::Narrow(kind, absl::StrCat(name, "@", lists_.host))});
  }

  bool Hosted(const DomainName& domain) const { return IsHosted(lists_, domain.text()); }

  const ChargeLists& lists_;
  const Identity& identity_;
  const absl::string_view original_;
  ChargedSubjects charged_;
};

}  // namespace

absl::StatusOr<std::vector<ChargeStep>> ParseChargeOrder(absl::string_view text) {
  std::vector<ChargeStep> order;
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    word = absl::StripAsciiWhitespace(word);
    std::optional<ChargeStep> step = StepNamed(word);
    if (!step.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          Quoted(word), " is not a way to charge; use a list of login, user and relay"));
    }
    if (std::find(order.begin(), order.end(), *step) != order.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(word), " is listed twice; take one out"));
    }
    order.push_back(*step);
  }
  const bool sender = std::find(order.begin(), order.end(), ChargeStep::kSender) != order.end();
  if (sender && order.size() > 1) {
    return absl::InvalidArgumentError("'sender' charges every message; let it stand alone");
  }
  return order;
}

absl::Status ReadMap(absl::string_view text, absl::string_view name, bool swap,
                     absl::flat_hash_map<std::string, std::string>* map,
                     absl::flat_hash_set<std::string>* several) {
  std::vector<std::string> mistakes;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const size_t end = std::min(line.find_first_of(": \t"), line.size());
    absl::string_view key = line.substr(0, end);
    absl::string_view value = absl::StripLeadingAsciiWhitespace(line.substr(end));
    absl::ConsumePrefix(&value, ":");
    value = absl::StripLeadingAsciiWhitespace(value);
    if (swap && absl::StartsWith(key, "*")) continue;
    if (key.empty() || value.empty() || value.find_first_of(" \t") != absl::string_view::npos) {
      mistakes.push_back(absl::StrCat(name, ":", number, ": ", Quoted(line),
                                      " is not a valid entry; write two words such as ",
                                      swap ? "'example.com: bob'" : "'bob: example.com'"));
      continue;
    }
    if (swap) std::swap(key, value);
    absl::StatusOr<DomainName> domain = DomainOf(value);
    if (!domain.ok()) {
      mistakes.push_back(absl::StrCat(name, ":", number, ": ", domain.status().message()));
      continue;
    }
    const auto [first, is_new] = map->try_emplace(std::string(key), std::string(value));
    if (is_new || several == nullptr) continue;
    const absl::StatusOr<DomainName> before = DomainOf(first->second);
    if (!before.ok() || before->text() != domain->text()) several->insert(first->first);
  }
  if (mistakes.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(mistakes, "\n"));
}

ChargedSubjects Charge(const ChargeLists& lists, const Identity& identity,
                       absl::string_view original) {
  const bool by_sender = !lists.order.empty() && lists.order.front() == ChargeStep::kSender;
  if (identity.made_by_mta && !by_sender) return {};
  Charger charger(lists, identity, original);
  for (ChargeStep step : lists.order) {
    if (step == ChargeStep::kRelay && identity.unclear) continue;
    if (charger.Try(step)) return charger.Take();
  }
  if (!by_sender && !original.empty() && !identity.unclear) charger.Forward(original);
  return charger.Take();
}

Subject AsCharged(const ChargeLists& lists, const Subject& subject) {
  if (subject.kind == SubjectKind::kLocal && subject.id.find('@') == std::string::npos) {
    return Subject::Narrow(subject.kind, absl::StrCat(subject.id, "@", lists.host));
  }
  if (subject.kind != SubjectKind::kLogin || subject.id.find('@') != std::string::npos) {
    return subject;
  }
  const Identity identity = {.login = subject.id};
  Charger charger(lists, identity, "");
  return charger.Try(ChargeStep::kLogin) ? charger.Take().front().subject : subject;
}

std::string DomainByLists(const ChargeLists& lists, const Subject& subject) {
  absl::string_view owner;
  switch (subject.kind) {
    case SubjectKind::kDomain:
    case SubjectKind::kForward:
    case SubjectKind::kLocal:
    case SubjectKind::kHost:
      return "";
    case SubjectKind::kLogin:
      owner = Find(lists.logins, subject.id);
      if (owner.empty()) owner = subject.DomainPart();
      if (owner.empty()) owner = Find(lists.users, subject.id);
      break;
    case SubjectKind::kAccount:
      owner = Find(lists.users, subject.id);
      break;
    case SubjectKind::kScript:
      break;
  }
  if (owner.empty()) owner = subject.DomainPart();
  absl::StatusOr<DomainName> domain = DomainOf(owner);
  return domain.ok() ? domain->text() : "";
}

bool IsHosted(const ChargeLists& lists, absl::string_view domain) {
  return lists.hosted.empty() || lists.hosted.Matches(domain);
}

bool StandsAlone(const ChargeLists& lists, const Subject& subject, absl::string_view domain) {
  if (subject.kind != SubjectKind::kLogin && subject.kind != SubjectKind::kAccount) return false;
  if (domain.empty() || !IsHosted(lists, domain)) return true;
  // The form of those that are part of nothing.
  return subject.kind == SubjectKind::kLogin && domain == subject.DomainPart() &&
         absl::EqualsIgnoreCase(domain, lists.host);
}

}  // namespace deferd

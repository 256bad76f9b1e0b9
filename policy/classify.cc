#include "policy/classify.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "policy/reply_patterns.h"
#include "policy/reply_text.h"

namespace deferd {

namespace {

// The MTA gave up, whatever the reason was.
bool SaysGivenUp(absl::string_view text) {
  return absl::StrContains(text, "retry timeout exceeded") ||
         absl::StrContains(text, "not going to try again") ||
         absl::StrContains(text, "message expired") ||
         absl::StrContains(text, "too long in the queue") ||
         absl::StrContains(text, "in the queue too long") ||
         absl::StrContains(text, "delivery time expired") ||
         absl::StrContains(text, "delivery was attempted for") ||
         absl::StrContains(text, "cannot be delivered") ||
         absl::StrContains(text, "delivery failed");
}

absl::string_view ProviderOfHost(const ReplyRules& rules, absl::string_view host) {
  const std::string name = absl::AsciiStrToLower(host.substr(0, 255));
  for (const ReplyProvider& provider : rules.providers) {
    for (const std::string& token : provider.tokens) {
      if (absl::StrContains(name, token)) return provider.name;
    }
  }
  return "";
}

}  // namespace

struct ReplyClassifier::Tables {
  ReplyRules rules;
  ReplyPatterns patterns;
};

ReplyClassifier::ReplyClassifier(std::unique_ptr<const Tables> tables)
    : tables_(std::move(tables)) {}
ReplyClassifier::~ReplyClassifier() = default;

const ReplyRules& ReplyClassifier::rules() const { return tables_->rules; }

absl::StatusOr<std::unique_ptr<ReplyClassifier>> ReplyClassifier::Create(
    const std::vector<ReplyRule>& extra) {
  absl::StatusOr<ReplyRules> rules = ParseReplyRules(BuiltInReplyRules());
  if (!rules.ok()) return rules.status();
  rules->rules.insert(rules->rules.begin(), extra.begin(), extra.end());
  return CreateFrom(*std::move(rules));
}

absl::StatusOr<std::unique_ptr<ReplyClassifier>> ReplyClassifier::CreateFrom(ReplyRules rules) {
  auto tables = std::make_unique<Tables>();
  if (absl::Status status = tables->patterns.Compile(rules); !status.ok()) return status;
  tables->rules = std::move(rules);
  return std::unique_ptr<ReplyClassifier>(new ReplyClassifier(std::move(tables)));
}

Classification ReplyClassifier::Classify(absl::string_view reply, const ReplyHints& hints) const {
  const Tables& tables = *tables_;
  ReplyText text;
  NormalizeReply(reply, &text);

  const ReplyPatterns::Found found = tables.patterns.Search(text.text());
  Classification result;
  Permanence usual = Permanence::kPermanent;
  bool firm = false;
  if (found.rule >= 0) {
    const ReplyRule& rule = tables.rules.rules[found.rule];
    result.reply_class = rule.reply_class;
    result.scope = rule.scope;
    result.rule = rule.id;
    usual = rule.permanence;
    firm = rule.firm;
  }
  if (found.provider >= 0) {
    result.provider = tables.rules.providers[found.provider].name;
  } else if (!hints.host.empty()) {
    result.provider = ProviderOfHost(tables.rules, hints.host);
  }

  // The first digit decides, unless the rule knows better. Without one: how the MTA logged it, then
  // what the text is about.
  if (firm) {
    result.permanence = usual;
  } else if (text.code != 0) {
    result.permanence = text.code < 500 ? Permanence::kTransient : Permanence::kPermanent;
  } else if (text.enhanced_leads && !SaysGivenUp(text.text())) {
    result.permanence = text.enhanced[0] == '4' ? Permanence::kTransient : Permanence::kPermanent;
  } else if (text.logged.has_value()) {
    result.permanence = *text.logged;
  } else if (hints.logged.has_value()) {
    result.permanence = *hints.logged;
  } else if (SaysGivenUp(text.text())) {
    result.permanence = Permanence::kPermanent;
  } else if (absl::StrContains(text.text(), "deferred:")) {  // Sendmail's word for it
    result.permanence = Permanence::kTransient;
  } else if (!text.enhanced.empty()) {
    result.permanence = text.enhanced[0] == '4' ? Permanence::kTransient : Permanence::kPermanent;
  } else {
    result.permanence = usual;
  }
  result.code = text.code;
  result.enhanced = std::move(text.enhanced);
  return result;
}

}  // namespace deferd

#include "policy/reply/classify.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "policy/reply/reply_patterns.h"
#include "policy/reply/reply_text.h"

namespace deferd {

namespace {

constexpr size_t kKept = 2048;        // answers, one for each slot of the texts' hashes
constexpr size_t kMaxKeptText = 480;  // longer texts seldom come again

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

// What MTAs write when they are going to try again; none of these words stands in a bounce.
bool SaysLater(absl::string_view text) {
  const absl::string_view said = text.substr(std::min(text.size(), text.find(": ")));
  return absl::StartsWith(said, ": connect to ") || absl::StartsWith(said, ": lost connection") ||
         absl::StartsWith(said, ": conversation with ") || absl::StrContains(said, "deferred:") ||
         absl::StrContains(said, "temporar") || absl::StrContains(said, "try again later") ||
         absl::StrContains(said, "gave defer") || absl::StrContains(said, "tempfail") ||
         absl::StrContains(said, "command time limit exceeded");
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

Permanence OfDigit(char digit) {
  return digit == '4' ? Permanence::kTransient : Permanence::kPermanent;
}

// What a code or a mark says. The first digit decides; without one, how the MTA logged it.
std::optional<Permanence> SaidPermanence(const ReplyText& text,
                                         const std::optional<Permanence>& logged) {
  if (text.code != 0) return text.code < 500 ? Permanence::kTransient : Permanence::kPermanent;
  const bool given_up = SaysGivenUp(text.text());
  if (text.enhanced_leads && !given_up) return OfDigit(text.enhanced[0]);
  if (text.logged.has_value()) return text.logged;
  if (logged.has_value()) return logged;
  if (given_up) return Permanence::kPermanent;
  if (SaysLater(text.text())) return Permanence::kTransient;
  if (!text.enhanced.empty()) return OfDigit(text.enhanced[0]);
  return std::nullopt;
}

// What a server decides that somebody asked. Of a sentence that our own server's routers gave, it
// is our configuration's.
bool IsVerdictOnSenders(ReplyClass reply_class) {
  return reply_class == ReplyClass::kRelayDenied || reply_class == ReplyClass::kPolicy ||
         reply_class == ReplyClass::kRateLimited;
}

char KeyOf(const std::optional<Permanence>& permanence) {
  return !permanence.has_value() ? '-' : *permanence == Permanence::kPermanent ? 'p' : 't';
}

}  // namespace

bool FailsForGood(const Classification& answer, bool deferred) {
  return !deferred || (answer.reply_class == ReplyClass::kDnsRouting &&
                       answer.permanence == Permanence::kPermanent);
}

double CountsProbability(const Classification& answer,
                         absl::FunctionRef<bool(ReplyClass, ReplyScope)> counts) {
  double sum = 0;
  double all = 0;
  for (int i = 0; i < kReplyClasses; ++i) {
    all += answer.probability[i];
    if (counts(static_cast<ReplyClass>(i), answer.scopes[i])) sum += answer.probability[i];
  }
  if (all == 0) return counts(answer.reply_class, answer.scope) ? 1 : 0;
  return sum / all;
}

// One slot for the texts of one hash. Whoever finds it busy goes without: nobody ever waits.
struct KeptAnswer {
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
  std::string key;
  Classification answer;
};

struct ReplyClassifier::Tables {
  // The concepts that tell what an answer is about.
  struct Topics {
    int ip, network, ptr, helo, domain, content;
  };

  ReplyRules rules;
  ReplyPatterns patterns;
  ReplyFeatures features;
  const ReplyModel& model = BuiltInReplyModel();
  Topics topics;
  std::unique_ptr<KeptAnswer[]> kept = std::make_unique<KeptAnswer[]>(kKept);

  // `words`: the first of the hashes that comes from the words.
  ReplyPatterns::Found Find(const ReplyText& text, ReplyFeatures::Hashes* hashes,
                            ReplyFeatures::Concepts* concepts, size_t* words) const {
    const ReplyPatterns::Found found = patterns.Search(text.text());
    ReplyFacts facts = {.text = text.text()};
    if (found.rule >= 0) facts.rule = rules.rules[found.rule].id;
    if (found.provider >= 0) facts.provider = rules.providers[found.provider].name;
    *words = features.Extract(facts, hashes, concepts);
    return found;
  }

  // The rule knows best, if the answer is of its class; else the words tell.
  ReplyScope ScopeOf(ReplyClass reply_class, const ReplyRule* rule,
                     const ReplyFeatures::Concepts& concepts) const {
    if (rule != nullptr && rule->reply_class == reply_class) return rule->scope;
    const auto has = [&](int topic) { return topic >= 0 && concepts.test(topic); };
    const bool host = has(topics.ip) || has(topics.network);
    switch (reply_class) {
      case ReplyClass::kReputation:
        return !host && (has(topics.domain) || has(topics.content)) ? ReplyScope::kSenderDomain
                                                                    : ReplyScope::kIp;
      case ReplyClass::kSenderIdentity:
        return has(topics.ptr) || has(topics.helo) || has(topics.ip) ? ReplyScope::kIp
                                                                     : ReplyScope::kSenderDomain;
      case ReplyClass::kRateLimited:
        return host ? ReplyScope::kIp : ReplyScope::kSenderDomain;
      default:
        return InfoOf(reply_class).scope;
    }
  }

  Classification Decide(ReplyText* text, const std::optional<Permanence>& logged,
                        bool nobody_asked) const {
    ReplyFeatures::Hashes hashes;
    ReplyFeatures::Concepts concepts;
    size_t words = 0;
    const ReplyPatterns::Found found = Find(*text, &hashes, &concepts, &words);
    Classification result;
    const ReplyRule* const rule = found.rule < 0 ? nullptr : &rules.rules[found.rule];
    if (rule != nullptr) result.rule = rule->id;
    if (found.provider >= 0) result.provider = rules.providers[found.provider].name;
    Permanence usual = rule == nullptr ? Permanence::kPermanent : rule->permanence;
    if (rule != nullptr && rule->certain) {
      result.reply_class = rule->reply_class;
      result.scope = rule->scope;
    } else if (rule == nullptr && text->enhanced.empty() &&
               !model.KnowsAny(absl::MakeSpan(hashes).subspan(words))) {
      // No word means anything to us: a guess by the reply code's digit would be no answer.
      result.confidence = kUnsureReply;
      usual = logged.value_or(Permanence::kPermanent);
    } else {
      const ReplyScores scores = model.Score(hashes);
      result.probability = model.Probabilities(scores);
      const auto most = std::max_element(result.probability.begin(), result.probability.end());
      result.reply_class = static_cast<ReplyClass>(most - result.probability.begin());
      result.confidence = *most;
      for (int i = 0; i < kReplyClasses; ++i) {
        result.scopes[i] = ScopeOf(static_cast<ReplyClass>(i), rule, concepts);
      }
      result.scope = result.scopes[static_cast<size_t>(result.reply_class)];
      if (rule == nullptr || rule->reply_class != result.reply_class) {
        usual = scores[kReplyClasses] > 0 ? Permanence::kPermanent : Permanence::kTransient;
      }
    }
    if (nobody_asked && text->code == 0 && IsVerdictOnSenders(result.reply_class)) {
      result.reply_class = ReplyClass::kLocal;
      result.scope = InfoOf(result.reply_class).scope;
      result.probability = {};
    }
    const bool firm = rule != nullptr && rule->firm && rule->reply_class == result.reply_class;
    result.permanence = firm ? usual : SaidPermanence(*text, logged).value_or(usual);
    result.code = text->code;
    result.enhanced = std::move(text->enhanced);
    return result;
  }
};

ReplyClassifier::ReplyClassifier(std::unique_ptr<Tables> tables) : tables_(std::move(tables)) {}
ReplyClassifier::~ReplyClassifier() = default;

const ReplyRules& ReplyClassifier::rules() const { return tables_->rules; }

absl::StatusOr<std::unique_ptr<ReplyClassifier>> ReplyClassifier::Create(
    const std::vector<ReplyRule>& extra) {
  absl::StatusOr<ReplyRules> rules = ParseReplyRules(BuiltInReplyRules());
  if (!rules.ok()) return rules.status();
  rules->rules.insert(rules->rules.begin(), extra.begin(), extra.end());
  for (size_t i = 0; i < extra.size(); ++i) rules->rules[i].certain = true;
  return CreateFrom(*std::move(rules));
}

absl::StatusOr<std::unique_ptr<ReplyClassifier>> ReplyClassifier::CreateFrom(ReplyRules rules) {
  auto tables = std::make_unique<Tables>();
  if (absl::Status status = tables->patterns.Compile(rules); !status.ok()) return status;
  if (absl::Status status = tables->features.Compile(BuiltInReplyConcepts()); !status.ok()) {
    return status;
  }
  const ReplyFeatures& features = tables->features;
  tables->topics = {.ip = features.ConceptOf("ip"),
                    .network = features.ConceptOf("network"),
                    .ptr = features.ConceptOf("ptr"),
                    .helo = features.ConceptOf("helo"),
                    .domain = features.ConceptOf("domain"),
                    .content = features.ConceptOf("content")};
  tables->rules = std::move(rules);
  return std::unique_ptr<ReplyClassifier>(new ReplyClassifier(std::move(tables)));
}

Classification ReplyClassifier::Classify(absl::string_view reply, const ReplyHints& hints) const {
  if (IsSuccessReply(reply)) return {.permanence = Permanence::kTransient, .code = kSuccessCode};
  ReplyText text;
  NormalizeReply(reply, &text);
  // In front of the text there is room for what else the answer depends on.
  text.buffer[text.begin - 1] = text.enhanced_leads ? 'l' : '-';
  text.buffer[text.begin - 2] = KeyOf(text.logged);
  text.buffer[text.begin - 3] = KeyOf(hints.logged);
  const bool nobody_asked = hints.nobody_asked || text.nobody_asked;
  text.buffer[text.begin - 4] = nobody_asked ? 'n' : '-';
  const absl::string_view key = absl::string_view(text.buffer).substr(text.begin - 4);
  Classification result;
  bool known = false;
  KeptAnswer* const kept =
      key.size() > kMaxKeptText ? nullptr : &tables_->kept[absl::HashOf(key) % kKept];
  if (kept != nullptr && !kept->busy.test_and_set(std::memory_order_acquire)) {
    known = kept->key == key;
    if (known) result = kept->answer;
    kept->busy.clear(std::memory_order_release);
  }
  if (!known) {
    result = tables_->Decide(&text, hints.logged, nobody_asked);
    if (kept != nullptr && !kept->busy.test_and_set(std::memory_order_acquire)) {
      kept->key.assign(key.data(), key.size());
      kept->answer = result;
      kept->busy.clear(std::memory_order_release);
    }
  }
  if (result.provider.empty() && !hints.host.empty()) {
    result.provider = ProviderOfHost(tables_->rules, hints.host);
  }
  return result;
}

ReplyAnalysis ReplyClassifier::Analyse(absl::string_view reply) const {
  ReplyText text;
  NormalizeReply(reply, &text);
  ReplyAnalysis analysis;
  ReplyFeatures::Concepts concepts;
  size_t words = 0;
  const ReplyPatterns::Found found = tables_->Find(text, &analysis.hashes, &concepts, &words);
  if (found.rule >= 0) {
    const ReplyRule& rule = tables_->rules.rules[found.rule];
    analysis.rule_class = rule.reply_class;
    analysis.permanence = rule.permanence;
  }
  const std::optional<Permanence> said = SaidPermanence(text, std::nullopt);
  analysis.permanence_said = said.has_value();
  analysis.permanence = said.value_or(analysis.permanence);
  return analysis;
}

}  // namespace deferd

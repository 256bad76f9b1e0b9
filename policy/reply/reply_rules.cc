#include "policy/reply/reply_rules.h"

#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {

namespace {

// Takes the first word off `line`.
absl::string_view TakeField(absl::string_view* line) {
  const size_t end = line->find_first_of(" \t");
  const absl::string_view word = line->substr(0, end);
  line->remove_prefix(word.size());
  *line = absl::StripLeadingAsciiWhitespace(*line);
  return word;
}

// What is wrong with the rule; empty if nothing is.
std::string ParseRule(absl::string_view id, absl::string_view rest, ReplyRule* rule) {
  const std::optional<ReplyClass> reply_class = ParseReplyClass(id.substr(0, id.find('.')));
  if (!reply_class || !absl::StrContains(id, '.')) {
    return absl::StrCat(Quoted(id), " does not begin with a class and a dot");
  }
  const ReplyClassInfo& info = InfoOf(*reply_class);
  *rule = {.id = std::string(id),
           .reply_class = *reply_class,
           .scope = info.scope,
           .permanence = info.permanence};
  absl::string_view scope = TakeField(&rest);
  rule->certain = absl::ConsumeSuffix(&scope, "!");
  rule->firm = absl::EndsWith(scope, "/P") || absl::EndsWith(scope, "/T");
  if (absl::ConsumeSuffix(&scope, "/p") || absl::ConsumeSuffix(&scope, "/P")) {
    rule->permanence = Permanence::kPermanent;
  } else if (absl::ConsumeSuffix(&scope, "/t") || absl::ConsumeSuffix(&scope, "/T")) {
    rule->permanence = Permanence::kTransient;
  }
  if (scope != "-") {
    const std::optional<ReplyScope> known = ParseReplyScope(scope);
    if (!known) return absl::StrCat(Quoted(scope), " is not a scope");
    rule->scope = *known;
  }
  if (rest.empty()) return absl::StrCat(Quoted(id), " has no pattern");
  rule->patterns.emplace_back(rest);
  return "";
}

}  // namespace

absl::StatusOr<ReplyRules> ParseReplyRules(absl::string_view text) {
  ReplyRules parsed;
  absl::flat_hash_set<std::string> ids;
  std::string problems;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const absl::string_view id = TakeField(&line);
    std::string problem;
    if (id == "+") {
      if (parsed.rules.empty() || parsed.rules.back().patterns.empty() || line.empty()) {
        problem = "the rest of a pattern without its beginning";
      } else {
        absl::StrAppend(&parsed.rules.back().patterns.back(), line);
      }
    } else if (id == "|") {
      if (parsed.rules.empty() || line.empty()) {
        problem = "a pattern without a rule";
      } else {
        parsed.rules.back().patterns.emplace_back(line);
      }
    } else if (id == "provider") {
      ReplyProvider provider = {.name = std::string(TakeField(&line))};
      while (!line.empty()) provider.tokens.emplace_back(TakeField(&line));
      if (provider.tokens.empty()) problem = "a provider needs a name and tokens";
      parsed.providers.push_back(std::move(provider));
    } else {
      ReplyRule rule;
      problem = ParseRule(id, line, &rule);
      if (problem.empty() && !ids.insert(rule.id).second) {
        problem = absl::StrCat(Quoted(id), " is there twice");
      }
      parsed.rules.push_back(std::move(rule));
    }
    if (!problem.empty()) {
      absl::StrAppend(&problems, problems.empty() ? "" : "\n", number, ": ", problem);
    }
  }
  if (!problems.empty()) return absl::InvalidArgumentError(problems);
  return parsed;
}

}  // namespace deferd

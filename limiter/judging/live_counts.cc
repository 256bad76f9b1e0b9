#include "limiter/judging/live_counts.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/algorithm/container.h"

namespace deferd {

namespace {

// A login of two domains is taken out of both as a whole; too little is better than blame.
Counts NotBelowZero(Counts counts) {
  for (int64_t* one : {&counts.delivered, &counts.deferred, &counts.failed, &counts.surplus,
                       &counts.rejected, &counts.sent, &counts.sent_recipients, &counts.classed}) {
    *one = std::max<int64_t>(0, *one);
  }
  counts.surplus = std::min(counts.surplus, counts.delivered);
  return counts;
}

}  // namespace

int64_t StepAt(const StepClock& steps, absl::Time t) {
  if (t == absl::InfinitePast()) return std::numeric_limits<int64_t>::min();
  if (t == absl::InfiniteFuture()) return std::numeric_limits<int64_t>::max();
  return steps.StepOf(t);
}

Counts LiveCounts::Whole(const Subject& subject, size_t window, ClassSet classes, int64_t now_step,
                         int64_t after_step, Whose whose) const {
  Counts sum = counter_->Sum(subject, window, now_step, after_step);
  if (!classes.empty()) {
    sum.classed = counter_->SumOf(subject, window, classes, now_step, after_step);
  }
  if (others_ == nullptr || whose == Whose::kOwn) return sum;
  const absl::Duration length = counter_->lengths()[window].window();
  sum += others_->Others(subject, length, now_step, after_step);
  if (!classes.empty()) {
    sum.classed += others_->OthersOf(subject, length, classes, now_step, after_step);
  }
  return sum;
}

Counts LiveCounts::Of(const Subject& subject, absl::Duration length, absl::Time now,
                      absl::Time after, bool shadow, Whose whose) const {
  return Of(subject, length, ClassSet(), now, after, shadow, whose);
}

Counts LiveCounts::Of(const Subject& subject, const Rule& rule, absl::Time now, absl::Time after,
                      bool shadow, Whose whose) const {
  Counts counts = Of(subject, rule.window, rule.measure.classes, now, after, shadow, whose);
  if (rule.min_recipients > 0) {
    counts.recipients = RecipientsOf(subject, rule, now, after, shadow, whose);
  }
  return counts;
}

Counts LiveCounts::ToJudge(const Subject& subject, const Rule& rule, absl::Time now,
                           absl::Time after, bool shadow) const {
  Counts counts =
      Of(subject, rule.window, rule.measure.classes, now, after, shadow, Whose::kAllNodes);
  const double share = rule.warn_at > 0 ? std::min(rule.warn_at, 1.0) : 1.0;
  const auto bad = static_cast<double>(rule.measure.Of(counts).bad());
  if (rule.min_recipients > 0 && bad >= share * static_cast<double>(rule.min_bad)) {
    counts.recipients = RecipientsOf(subject, rule, now, after, shadow, Whose::kAllNodes);
  }
  return counts;
}

void LiveCounts::ForEachApart(
    const Subject& subject, const StepClock& steps, int64_t after_step,
    absl::FunctionRef<void(const Subject& part, int64_t until_step)> tell) const {
  const std::vector<Subject>* parts = culprit_->Apart(subject);
  if (parts == nullptr) return;
  for (const Subject& part : *parts) {
    const int64_t until = StepAt(steps, culprit_->ApartUntil(part));
    if (until > after_step) tell(part, until);
  }
}

int64_t LiveCounts::RecipientsOf(const Subject& subject, const Rule& rule, absl::Time now,
                                 absl::Time after, bool shadow, Whose whose) const {
  const std::optional<size_t> window = counter_->IndexOf(rule.window);
  if (!window.has_value()) return 0;
  const ClassSet classes = rule.measure.classes;
  const StepClock& steps = counter_->lengths()[*window];
  const int64_t now_step = steps.StepOf(now);
  const int64_t after_step = StepAt(steps, std::max(after, clearings_->After(subject, shadow)));
  RecipientWindow::Tally tally;
  const auto add = [&](const Subject& one, int64_t later_than, int64_t sign) {
    if (const SideWindows* side = counter_->FindSide(one, *window)) {
      side->RecipientsFor(classes).AddTo(&tally, now_step, later_than, sign, classes);
    }
    if (others_ == nullptr || whose == Whose::kOwn) return;
    others_->AddRecipients(one, steps.window(), classes, now_step, later_than, sign, &tally);
  };
  add(subject, after_step, +1);
  ForEachApart(subject, steps, after_step, [&](const Subject& part, int64_t until) {
    add(part, after_step, -1);
    if (until < now_step) add(part, until, +1);
  });
  return RecipientWindow::Distinct(tally);
}

Counts LiveCounts::Of(const Subject& subject, absl::Duration length, ClassSet classes,
                      absl::Time now, absl::Time after, bool shadow, Whose whose) const {
  const std::optional<size_t> window = counter_->IndexOf(length);
  if (!window.has_value()) return {};
  const StepClock& steps = counter_->lengths()[*window];
  const int64_t now_step = steps.StepOf(now);
  const int64_t after_step = StepAt(steps, std::max(after, clearings_->After(subject, shadow)));
  Counts counts = Whole(subject, *window, classes, now_step, after_step, whose);
  bool any = false;
  ForEachApart(subject, steps, after_step, [&](const Subject& part, int64_t until) {
    any = true;
    counts -= Whole(part, *window, classes, now_step, after_step, whose);
    // What came after it was cleared is the domain's again.
    if (until < now_step) counts += Whole(part, *window, classes, now_step, until, whose);
  });
  return any ? NotBelowZero(counts) : counts;
}

// The others' parts as counted, and the rest, which is this node's.
std::vector<std::pair<std::string, Counts>> LiveCounts::ByNode(const std::string& node,
                                                               const Subject& subject, bool shadow,
                                                               absl::Duration length,
                                                               const Counts& sum,
                                                               absl::Time now) const {
  const StepClock steps(length);
  const int64_t now_step = steps.StepOf(now);
  const int64_t after_step =
      std::max(now_step - StepClock::kSteps, StepAt(steps, clearings_->After(subject, shadow)));
  auto nodes = others_->OthersByNode(subject, length, now_step, after_step);
  auto of_node = [&nodes](const std::string& name) {
    return absl::c_find_if(nodes, [&](const auto& one) { return one.first == name; });
  };
  const auto add = [&](const Subject& part, int64_t later_than, bool out) {
    for (const auto& [name, counts] : others_->OthersByNode(part, length, now_step, later_than)) {
      const auto one = of_node(name);
      if (one == nodes.end()) continue;
      if (out) {
        one->second -= counts;
      } else {
        one->second += counts;
      }
    }
  };
  ForEachApart(subject, steps, after_step, [&](const Subject& part, int64_t until) {
    add(part, after_step, /*out=*/true);
    if (until < now_step) add(part, until, /*out=*/false);
  });
  Counts rest = sum;
  for (auto& [name, counts] : nodes) {
    counts = NotBelowZero(counts);
    rest -= counts;
  }
  std::erase_if(nodes, [](const auto& one) { return one.second.nothing(); });
  nodes.emplace_back(node, NotBelowZero(rest));
  std::sort(nodes.begin(), nodes.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return nodes;
}

}  // namespace deferd

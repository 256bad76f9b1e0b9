#include "policy/measure.h"

#include <optional>

#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

constexpr absl::string_view kBad = "bad";
constexpr absl::string_view kOfClasses = "bad_of_classes";
constexpr absl::string_view kRejected = "rejected_recipients";
constexpr absl::string_view kSentMessages = "sent_messages";
constexpr absl::string_view kSentRecipients = "sent_recipients";

}  // namespace

std::vector<ReplyClass> ClassSet::All() const {
  std::vector<ReplyClass> all;
  for (int i = 0; i < kReplyClasses; ++i) {
    if (Has(static_cast<ReplyClass>(i))) all.push_back(static_cast<ReplyClass>(i));
  }
  return all;
}

std::vector<std::string> ClassSet::Names() const {
  std::vector<std::string> names;
  for (const ReplyClass one : All()) names.emplace_back(ReplyClassName(one));
  return names;
}

absl::string_view Measure::Name() const {
  switch (what) {
    case What::kBad:
      return classes.empty() ? kBad : kOfClasses;
    case What::kRejected:
      return kRejected;
    case What::kSentMessages:
      return kSentMessages;
    case What::kSentRecipients:
      return kSentRecipients;
  }
  return kBad;
}

std::string Measure::Words() const {
  switch (what) {
    case What::kBad:
      break;
    case What::kRejected:
      return "rejected recipients";
    case What::kSentMessages:
      return "messages sent";
    case What::kSentRecipients:
      return "recipients sent to";
  }
  if (classes.empty()) return "bad";
  const std::vector<std::string> names = classes.Names();
  std::string words = "answers of class ";
  for (size_t i = 0; i < names.size(); ++i) {
    absl::StrAppend(&words, i == 0 ? "" : i + 1 == names.size() ? " or " : ", ", names[i]);
  }
  return words;
}

Counts Measure::Of(const Counts& counts) const {
  switch (what) {
    case What::kBad:
      break;
    case What::kRejected:
      return counts.OfRejected();
    case What::kSentMessages:
      return {.failed = counts.sent};
    case What::kSentRecipients:
      return {.failed = counts.sent_recipients};
  }
  if (classes.empty()) return counts;
  // Whatever else was counted is what the share is taken of.
  return {.delivered = counts.total() - counts.classed,
          .failed = counts.classed,
          .surplus = counts.surplus};
}

Measure ParseMeasure(absl::string_view name, const std::vector<std::string>& classes) {
  Measure measure;
  if (name == kRejected) measure.what = Measure::What::kRejected;
  if (name == kSentMessages) measure.what = Measure::What::kSentMessages;
  if (name == kSentRecipients) measure.what = Measure::What::kSentRecipients;
  for (const std::string& one : classes) {
    if (const std::optional<ReplyClass> known = ParseReplyClass(one)) measure.classes.Add(*known);
  }
  return measure;
}

}  // namespace deferd

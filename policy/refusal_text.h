// The sentence that a refused sender sees: the one that people know and search for, then what
// really happens to the message. One line of printable ASCII, at most 400 bytes.

#ifndef DEFERD_POLICY_REFUSAL_TEXT_H_
#define DEFERD_POLICY_REFUSAL_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

inline constexpr size_t kMaxRefusalText = 400;

// The fixed parts of the sentence, by which IsRefusalText knows it.
//   KIND SUBJECT EXCEEDED A/B (C%)) allowed. ENDING   (of either rule: EXCEEDED_REJECTED)
//   STOPPED_MAIL SUBJECT WAS_STOPPED ENDING
inline constexpr absl::string_view kExceeded =
    " has exceeded the max defers and failures per hour (";
inline constexpr absl::string_view kExceededRejected =
    " has exceeded the max rejected recipients per hour (";
inline constexpr absl::string_view kAllowed = "%)) allowed.";
inline constexpr absl::string_view kStoppedMail = "Mail of ";
inline constexpr absl::string_view kWasStopped = " was stopped by the administrator.";

// KIND: "Domain", "Login", ...
absl::string_view RefusalKindWord(SubjectKind kind);

struct Refusal {
  Subject subject;
  int64_t bad = 0;
  int64_t min_bad = 0;
  int percent = 0;
  absl::Time until;
  bool by_person = false;  // an administrator's block has no counts
  bool rejected = false;   // by a rule on rejected recipients: these are `bad`
};

// "Domain D has exceeded the max defers and failures per hour (A/B (C%)) allowed. Message rejected,
// try again after HH:MM UTC.", or the policy's own `text` in its place (a person's block always has
// its own sentence, which says until when a message is held). `verdict` and the profile choose the
// ending. Empty for a pass.
std::string RefusalText(const Policy& policy, const Refusal& refusal, Verdict verdict);

// Whether `text` is such a sentence: it must begin with it, so that nothing that merely quotes one
// is taken for it. Any ending will do (another version's, another profile's). `own` is the policy's
// `text`, empty if it has none. Whoever sends mail can make others say this sentence, so ask only
// where the text is known to be ours (left_out.h). Linear time.
bool IsRefusalText(absl::string_view text, absl::string_view own = "");

// What such a sentence in a reply says, ours or cPanel's ("Domain has exceeded the max defers and
// failures per hour (5/5 (14%)) allowed. Message discarded."). The subject is empty where the
// sentence names none.
struct SaidRefusal {
  std::string kind;     // "Domain"
  std::string subject;  // "example.com"
  bool by_person = false;
  int64_t bad = 0, min_bad = 0;  // 0: the sentence has no numbers
  int percent = 0;
};
std::optional<SaidRefusal> FindRefusal(absl::string_view reply);

// Checks a policy's `text`: placeholders {kind} {subject} {bad} {min_bad} {percent} {until}
// {ending}, one line. InvalidArgument says what is wrong.
absl::Status CheckRefusalTemplate(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_POLICY_REFUSAL_TEXT_H_

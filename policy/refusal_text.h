// The sentence that a refused sender sees: the well-known wording that people search for, then what
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
#include "policy/measure.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

inline constexpr size_t kMaxRefusalText = 400;

// The fixed parts of the sentence, which IsRefusalText recognises.
//   KIND SUBJECT EXCEEDED A/B (C%)) allowed. ENDING
//   STOPPED_MAIL SUBJECT WAS_STOPPED ENDING
inline constexpr absl::string_view kExceeded =
    " has exceeded the max defers and failures per hour (";
inline constexpr absl::string_view kExceededRejected =
    " has exceeded the max rejected recipients per hour (";
inline constexpr absl::string_view kExceededClasses =
    " has exceeded the max answers of class ";  // CLASS or CLASS ...
inline constexpr absl::string_view kPerHour = " per hour (";
inline constexpr absl::string_view kExceededSent = " has exceeded the max emails per hour (";
inline constexpr absl::string_view kExceededSentDay = " has exceeded the max emails per day (";
inline constexpr absl::string_view kExceededTo = " has exceeded the max recipients per hour (";
inline constexpr absl::string_view kExceededToDay = " has exceeded the max recipients per day (";
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
  absl::Time until;        // infinite: until a person ends it
  bool by_person = false;  // a person's block has no counts
  Measure measure;         // what `bad` counts
  bool soft = false;       // held only until more is sent (Rule::cutoff)
  absl::Duration window = absl::Hours(1);
  std::string case_id;    // Case::id, for the policy's own `text`
  bool deferred = false;  // a hold whose helper does not answer: the client keeps the message
};

// "Domain D has exceeded the max defers and failures per hour (A/B (C%)) allowed. Message rejected,
// try again after HH:MM UTC.", or the policy's own `text` (a person's block always has its own
// sentence, which also says how long a message is held). `verdict` and the profile choose the
// ending. Empty for a pass.
std::string RefusalText(const Policy& policy, const Refusal& refusal, Verdict verdict);

// Whether `text` begins with such a sentence; text that merely quotes one is not accepted. Any
// ending is accepted (of another version or profile). `own`: the policy's `text`, empty if it has
// none. Senders can make other servers send this sentence, so call it only for text that is known
// to be ours (left_out.h). Linear time.
bool IsRefusalText(absl::string_view text, absl::string_view own = "");

// The values in such a sentence, deferd's or cPanel's ("Domain has exceeded the max defers and
// failures per hour (5/5 (14%)) allowed. Message discarded."). The subject is empty if the sentence
// names none.
struct SaidRefusal {
  std::string kind;     // "Domain"
  std::string subject;  // "example.com"
  bool by_person = false;
  std::string what;              // "defers and failures", "emails": what exceeded its maximum
  int64_t bad = 0, min_bad = 0;  // 0: the sentence has no numbers
  int percent = 0;
};
std::optional<SaidRefusal> FindRefusal(absl::string_view reply);

// Checks a policy's `text`: placeholders {kind} {subject} {bad} {min_bad} {percent} {until}
// {ending} {case}, one line. InvalidArgument says what is wrong.
absl::Status CheckRefusalTemplate(absl::string_view text);

// What to say of a policy's `text` that holds too few words of its own to be recognised when
// another host sends it back; empty: nothing.
std::string RefusalTextWarning(absl::string_view own);

}  // namespace deferd

#endif  // DEFERD_POLICY_REFUSAL_TEXT_H_

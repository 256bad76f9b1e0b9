// What is the matter with a sender's mail, whose fault that is, and what to do about it.
//
// Follows from two things that are known of its bad deliveries: who caused them (a login, a local
// user, one sender or several), and which classes of answers came back. Both are looked up in one
// table (fault.cc), so that a page, a notice and an API say the same. The sentences are read by
// people who know no SMTP; each fits a line of 80 columns beside a label. Pure.

#ifndef DEFERD_POLICY_FAULT_H_
#define DEFERD_POLICY_FAULT_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "policy/reply/reply_class.h"

namespace deferd {

// Who caused most of the bad deliveries.
enum class CulpritKind : uint8_t {
  kUnknown,
  kLogin,    // one mailbox, by its login
  kUser,     // one local system user: a website, a script, a program
  kSender,   // one sender address; who sends as it is not proven
  kHost,     // one client machine that needs no login
  kForward,  // mail from outside that is passed on
  kMany,     // several of these, none of them with most of it
};

// One who sent, with what became of it.
struct Suspect {
  CulpritKind kind = CulpritKind::kUnknown;
  int64_t bad = 0;
};

// The one that caused two thirds or more of all, kMany if none did, kUnknown if there is none.
CulpritKind CulpritOf(const std::vector<Suspect>& culprits);

struct AnsweredClass {
  ReplyClass reply_class = ReplyClass::kUnclassified;
  int64_t counted = 0;
  int64_t left_out = 0;  // by the policy, or since a server is in trouble
};

struct Symptoms {
  CulpritKind culprit = CulpritKind::kUnknown;
  std::vector<AnsweredClass> answers;
  int64_t delivered = 0;          // by the same sender in the same time
  int64_t recipients = 0;         // different ones of the bad deliveries that count; 0: not known
  int64_t destinations = 0;       // organisations whose servers failed; 0: not known
  int64_t refused_here = 0;       // recipients that our own mail server refused at RCPT time
  bool address_listed = false;    // servers refuse our own IP address or server (an incident)
  bool destination_down = false;  // a place fails for many senders (an incident)
};

// The cause, as far as the answers tell.
enum class Trouble : uint8_t {
  kNone,           // no bad delivery is known
  kStolen,         // spam to many addresses, of which many do not exist
  kSpam,           // refused as spam or virus
  kDeadAddresses,  // addresses that do not exist
  kOneAddress,     // one or two of them, again and again
  kWrongDomain,    // the recipient's domain does not exist
  kGuessedHere,    // recipients that our own server refused
  kMailboxFull,
  kGreylisting,
  kTooFast,         // rate limits
  kOwnAddress,      // our IP address or server is refused
  kDomainListed,    // the sender's domain is on a list
  kAuthentication,  // SPF, DKIM, DMARC
  kSenderIdentity,
  kRelayDenied,
  kPolicy,
  kTooLarge,
  kDestinationDown,
  kOwnNetwork,  // no server can be reached at all
  kEncryption,
  kLoop,
  kBadForm,  // messages that break the rules of mail
  kOwnSettings,
  kUnclear,  // answers without a reason
  kSeveral,  // no cause has most of it
};
inline constexpr int kTroubles = 25;

// "stolen", "dead_addresses", ...: for JSON.
absl::string_view TroubleName(Trouble trouble);

Trouble TroubleOf(const Symptoms& symptoms);

struct Fault {
  Trouble trouble = Trouble::kNone;
  absl::string_view sentence;               // "this mailbox: probably a stolen password"
  std::vector<absl::string_view> remedies;  // in this order: "change its password"
  bool patience = false;                    // it passes without anybody's doing
};

Fault FaultOf(const Symptoms& symptoms);

// All sentences and remedies that FaultOf can give: those who translate them need each.
std::vector<absl::string_view> FaultTexts();

// What such answers say of `count` deliveries, in the words of people: "27 addresses do not exist".
// `reason` is the same in two words: "unknown address".
struct AnswerWords {
  absl::string_view reason;
  absl::string_view one;   // "1 address does not exist"
  absl::string_view many;  // "addresses do not exist"
};
const AnswerWords& WordsOf(ReplyClass reply_class);

// "Gmail" of "google.com"; the organisation itself if it has no better known name.
absl::string_view ProviderName(absl::string_view organisation);

}  // namespace deferd

#endif  // DEFERD_POLICY_FAULT_H_

#include "policy/fault.h"

#include <algorithm>
#include <array>
#include <optional>

namespace deferd {

namespace {

using C = CulpritKind;
using T = Trouble;

// A row holds for one kind of culprit, or (nullopt) for all that have no row of their own. The
// first that fits is taken.
struct Row {
  Trouble trouble;
  std::optional<CulpritKind> culprit;
  absl::string_view sentence;
  absl::string_view remedy;
  absl::string_view then;  // may be empty
  bool patience = false;
};

constexpr std::nullopt_t kAny = std::nullopt;

constexpr Row kFaultTable[] = {
    {T::kNone, kAny, "none: no delivery of it failed in this time", "", ""},

    {T::kStolen, C::kLogin, "this mailbox: probably a stolen password", "change its password", ""},
    {T::kStolen, C::kUser, "this account's website: probably a hacked site or mail form",
     "find and remove the script that sends; update the site", ""},
    {T::kStolen, C::kHost, "this machine: probably infected, or an open relay",
     "disconnect it and clean it", ""},
    {T::kStolen, C::kForward, "strangers: spam that is passed on to outside addresses",
     "filter spam before it is forwarded, or end the forward", ""},
    {T::kStolen, C::kMany, "several senders: probably stolen passwords, or one bulk mailing",
     "ask them; change their passwords", ""},
    {T::kStolen, kAny, "whoever sends as this address: probably a stolen password or a script",
     "find out who sent it (deferctl track) and stop that", ""},

    {T::kSpam, C::kLogin, "this mailbox: its mail looks like spam, perhaps a stolen password",
     "ask its owner; was it not them: change its password", ""},
    {T::kSpam, C::kUser, "this account's website: it sends what looks like spam",
     "look at what its script sends; remove it if it was hacked", ""},
    {T::kSpam, C::kForward, "strangers: spam that is passed on to outside addresses",
     "filter spam before it is forwarded, or end the forward", ""},
    {T::kSpam, C::kMany, "several senders: their mail looks like spam",
     "look at what they send; change passwords if it is not theirs", ""},
    {T::kSpam, kAny, "the messages: servers take them for spam or a virus",
     "look at what is sent; remove the link or attachment", ""},

    {T::kDeadAddresses, C::kLogin, "this mailbox: an old address list, or a stolen password",
     "ask its owner; was it not them: change its password", "remove these addresses from its list"},
    {T::kDeadAddresses, C::kUser, "this account's website: it mails addresses nobody checked",
     "protect its form (captcha), or clean its address list", ""},
    {T::kDeadAddresses, C::kForward, "a forward to an address that no longer exists",
     "correct or end the forward", ""},
    {T::kDeadAddresses, C::kMany, "several senders: they write to addresses that do not exist",
     "remove these addresses from lists and forwarders", ""},
    {T::kDeadAddresses, kAny, "the address list: many of its addresses do not exist",
     "remove these addresses from lists and forwarders", ""},

    {T::kOneAddress, C::kUser, "this account's website: it mails one or two wrong addresses",
     "correct the address in its form or script", ""},
    {T::kOneAddress, C::kForward, "a forward to an address that does not exist",
     "correct or end the forward", ""},
    {T::kOneAddress, kAny, "one or two mistyped or old addresses, nothing worse",
     "correct the address, or stop mailing it", ""},

    {T::kWrongDomain, kAny, "a mistyped recipient domain, or one that takes no mail",
     "check the part after the @ of the recipients", ""},

    {T::kGuessedHere, C::kLogin, "this mailbox: it tries addresses that this server refuses",
     "ask its owner; was it not them: change its password", ""},
    {T::kGuessedHere, kAny, "the sender: it tries addresses that this server refuses",
     "ask the sender; remove these addresses from its list", ""},

    {T::kMailboxFull, kAny, "the recipients: their mailboxes are full",
     "tell them another way; stop mailing them if it stays so", ""},
    {T::kGreylisting, kAny, "nobody: greylisting, servers ask unknown senders to wait",
     "wait; the mail server tries again by itself", "", true},

    {T::kTooFast, C::kLogin, "this mailbox: it sends more at once than servers take",
     "send in smaller portions; if it was not its owner: change the password", ""},
    {T::kTooFast, C::kUser, "this account's website: it sends more at once than servers take",
     "slow its script down, or stop it if it was hacked", ""},
    {T::kTooFast, kAny, "the sender: it sends more at once than servers take",
     "send in smaller portions", ""},

    {T::kOwnAddress, kAny, "our own server: its address has a bad reputation, not this sender",
     "deferctl incidents; stop the spam, then ask for removal", ""},
    {T::kDomainListed, kAny, "the sender's domain: block-listed, or of bad reputation",
     "stop what sent the spam, then ask the list for removal", ""},
    {T::kAuthentication, C::kForward, "the forward: SPF or DMARC does not permit it",
     "let the server rewrite the sender (SRS), or end the forward", ""},
    {T::kAuthentication, kAny, "the domain's DNS: SPF, DKIM or DMARC does not fit",
     "correct SPF, DKIM and DMARC of the sender's domain", ""},
    {T::kSenderIdentity, kAny, "the sender address or our server's name cannot be verified",
     "check MX of the sender's domain, and our reverse DNS", ""},
    {T::kRelayDenied, kAny, "the recipients' server handles no mail for them, or wants a login",
     "check MX of the recipients, and our routing or smart host", ""},
    {T::kPolicy, kAny, "the recipients' organisation: a rule of theirs forbids this mail",
     "ask the recipients to permit this sender", ""},
    {T::kTooLarge, kAny, "the sender: messages larger than the recipients' servers take",
     "send smaller attachments, or a link to the file", ""},
    {T::kDestinationDown, kAny, "the recipients' servers: out of order or not reachable",
     "wait; the mail server tries again by itself", "", true},
    {T::kOwnNetwork, kAny, "our own server: it reaches no other mail server",
     "check its network, firewall (port 25) and DNS", ""},
    {T::kEncryption, kAny, "the recipients' server: encryption with it fails",
     "test STARTTLS there; check our TLS settings for it", ""},
    {T::kLoop, kAny, "a forward that sends mail in a circle", "find and break the circle", ""},
    {T::kBadForm, C::kUser, "this account's website: it builds messages that break the rules",
     "correct the script that builds the message", ""},
    {T::kBadForm, kAny, "the program that wrote the messages: they break the rules of mail",
     "update or correct that program", ""},
    {T::kOwnSettings, kAny, "our own server: its limits or settings stop the mail",
     "read the answers: deferctl why with --all", ""},
    {T::kUnclear, kAny, "not clear: the servers' answers name no reason",
     "read the answers: deferctl why with --all", ""},
    {T::kSeveral, C::kLogin, "this mailbox, for several reasons",
     "see WHAT; for each of them: deferctl why with --all", ""},
    {T::kSeveral, kAny, "several causes, none of them most of it",
     "see WHAT; for each of them: deferctl why with --all", ""},
};

struct NamedTrouble {
  Trouble trouble;
  absl::string_view name;
};
// In the order of the enum; the test holds it.
constexpr std::array<NamedTrouble, kTroubles> kNames = {{
    {T::kNone, "none"},
    {T::kStolen, "stolen"},
    {T::kSpam, "spam"},
    {T::kDeadAddresses, "dead_addresses"},
    {T::kOneAddress, "one_address"},
    {T::kWrongDomain, "wrong_domain"},
    {T::kGuessedHere, "guessed_here"},
    {T::kMailboxFull, "mailbox_full"},
    {T::kGreylisting, "greylisting"},
    {T::kTooFast, "too_fast"},
    {T::kOwnAddress, "own_address"},
    {T::kDomainListed, "domain_listed"},
    {T::kAuthentication, "authentication"},
    {T::kSenderIdentity, "sender_identity"},
    {T::kRelayDenied, "relay_denied"},
    {T::kPolicy, "policy"},
    {T::kTooLarge, "too_large"},
    {T::kDestinationDown, "destination_down"},
    {T::kOwnNetwork, "own_network"},
    {T::kEncryption, "encryption"},
    {T::kLoop, "loop"},
    {T::kBadForm, "bad_form"},
    {T::kOwnSettings, "own_settings"},
    {T::kUnclear, "unclear"},
    {T::kSeveral, "several"},
}};

// What a class alone points to, and its words. In the order of ReplyClass; the test holds it.
struct ClassRow {
  ReplyClass reply_class;
  Trouble trouble;
  AnswerWords words;
};
constexpr std::array<ClassRow, kReplyClasses> kClasses = {{
    {ReplyClass::kInvalidRecipient,
     T::kDeadAddresses,
     {"unknown address", "1 address does not exist", "addresses do not exist"}},
    {ReplyClass::kMailboxDisabled,
     T::kDeadAddresses,
     {"mailbox disabled", "1 mailbox is switched off", "mailboxes are switched off"}},
    {ReplyClass::kMailboxFull,
     T::kMailboxFull,
     {"mailbox full", "1 mailbox is full", "mailboxes are full"}},
    {ReplyClass::kGreylisting,
     T::kGreylisting,
     {"asked to wait", "1 was asked to wait", "were asked to wait"}},
    {ReplyClass::kRateLimited, T::kTooFast, {"sent too fast", "1 sent too fast", "sent too fast"}},
    {ReplyClass::kReputation,
     T::kDomainListed,
     {"bad reputation", "1 refused for bad reputation", "refused for bad reputation"}},
    {ReplyClass::kAuthentication,
     T::kAuthentication,
     {"SPF/DKIM/DMARC failed", "1 failed SPF, DKIM or DMARC", "failed SPF, DKIM or DMARC"}},
    {ReplyClass::kSenderIdentity,
     T::kSenderIdentity,
     {"sender unverified", "1 sender not verified", "senders not verified"}},
    {ReplyClass::kRelayDenied,
     T::kRelayDenied,
     {"relaying denied", "1 refused to relay", "refused to relay"}},
    {ReplyClass::kContent, T::kSpam, {"spam suspected", "1 refused as spam", "refused as spam"}},
    {ReplyClass::kPolicy,
     T::kPolicy,
     {"forbidden there", "1 forbidden by a rule of theirs", "forbidden by rules of theirs"}},
    {ReplyClass::kMessageTooLarge, T::kTooLarge, {"too large", "1 too large", "too large"}},
    {ReplyClass::kDnsRouting,
     T::kWrongDomain,
     {"domain unreachable", "1 to a domain without mail", "to domains without mail"}},
    {ReplyClass::kTls,
     T::kEncryption,
     {"encryption failed", "1 encryption failed", "encryption failed"}},
    {ReplyClass::kNetwork,
     T::kDestinationDown,
     {"no answer", "1 server did not answer", "got no answer from the server"}},
    {ReplyClass::kMailLoop, T::kLoop, {"mail loop", "1 in a mail loop", "in a mail loop"}},
    {ReplyClass::kServerResources,
     T::kDestinationDown,
     {"server trouble", "1 met a server in trouble", "met a server in trouble"}},
    {ReplyClass::kProtocolError,
     T::kBadForm,
     {"malformed message", "1 of wrong form", "of wrong form"}},
    {ReplyClass::kLocal,
     T::kOwnSettings,
     {"own server", "1 stopped by our server", "stopped by our server"}},
    {ReplyClass::kUnclassified,
     T::kUnclear,
     {"unclear answer", "1 refused without a clear reason", "refused without a clear reason"}},
}};

struct Provider {
  absl::string_view organisation;
  absl::string_view name;
};
constexpr Provider kProviders[] = {
    {"google.com", "Gmail"},
    {"googlemail.com", "Gmail"},
    {"outlook.com", "Microsoft"},
    {"hotmail.com", "Microsoft"},
    {"office365.us", "Microsoft"},
    {"yahoodns.net", "Yahoo"},
    {"yahoo.com", "Yahoo"},
    {"icloud.com", "iCloud"},
    {"apple.com", "iCloud"},
    {"gmx.net", "GMX"},
    {"web.de", "WEB.DE"},
    {"t-online.de", "T-Online"},
    {"mimecast.com", "Mimecast"},
    {"pphosted.com", "Proofpoint"},
    {"ppe-hosted.com", "Proofpoint"},
    {"messagelabs.com", "MessageLabs"},
    {"barracudanetworks.com", "Barracuda"},
    {"mail.ru", "Mail.ru"},
    {"yandex.ru", "Yandex"},
    {"yandex.net", "Yandex"},
    {"qq.com", "QQ"},
    {"comcast.net", "Comcast"},
    {"protonmail.ch", "Proton"},
    {"zoho.com", "Zoho"},
    {"secureserver.net", "GoDaddy"},
    {"ovh.net", "OVH"},
    {"kundenserver.de", "IONOS"},
};

constexpr int64_t kFewRecipients = 2;
constexpr int64_t kManyDestinations = 5;

// How much of the answers point to each trouble.
using Weights = std::array<int64_t, kTroubles>;

int64_t& At(Weights* weights, Trouble trouble) { return (*weights)[static_cast<size_t>(trouble)]; }

// What counts decides; only if nothing does, what is left out.
Weights WeightsOf(const Symptoms& symptoms, int64_t* total) {
  const bool any_counts = std::any_of(symptoms.answers.begin(), symptoms.answers.end(),
                                      [](const AnsweredClass& one) { return one.counted > 0; });
  Weights weights = {};
  for (const AnsweredClass& one : symptoms.answers) {
    const int64_t weight = any_counts ? one.counted : one.left_out;
    if (weight <= 0) continue;
    Trouble trouble = kClasses[static_cast<size_t>(one.reply_class)].trouble;
    // What is about our own address never counts against a sender.
    if (one.reply_class == ReplyClass::kReputation && !any_counts) trouble = T::kOwnAddress;
    At(&weights, trouble) += weight;
    *total += weight;
  }
  return weights;
}

}  // namespace

CulpritKind CulpritOf(const std::vector<Suspect>& culprits) {
  int64_t all = 0;
  const Suspect* most = nullptr;
  for (const Suspect& one : culprits) {
    all += one.bad;
    if (one.bad > 0 && (most == nullptr || one.bad > most->bad)) most = &one;
  }
  if (most == nullptr) return CulpritKind::kUnknown;
  return most->bad * 3 >= all * 2 ? most->kind : CulpritKind::kMany;
}

absl::string_view TroubleName(Trouble trouble) { return kNames[static_cast<size_t>(trouble)].name; }

Trouble TroubleOf(const Symptoms& symptoms) {
  int64_t total = 0;
  Weights weights = WeightsOf(symptoms, &total);
  if (symptoms.refused_here > total) return T::kGuessedHere;
  if (total == 0) {
    if (symptoms.address_listed) return T::kOwnAddress;
    return symptoms.destination_down ? T::kDestinationDown : T::kNone;
  }
  // Spam goes to addresses that were guessed or bought, and is refused, slowed down and listed.
  const int64_t dead = At(&weights, T::kDeadAddresses);
  const int64_t spam =
      At(&weights, T::kSpam) + At(&weights, T::kTooFast) + At(&weights, T::kDomainListed);
  const bool refused = At(&weights, T::kSpam) + At(&weights, T::kDomainListed) > 0;
  if (refused && dead * 5 >= total && spam * 5 >= total && (dead + spam) * 5 >= total * 3) {
    return T::kStolen;
  }
  const auto most = std::max_element(weights.begin(), weights.end());
  if (*most * 2 < total) return T::kSeveral;
  const auto trouble = static_cast<Trouble>(most - weights.begin());
  switch (trouble) {
    case T::kDeadAddresses: {
      const bool few = symptoms.recipients > 0 && symptoms.recipients <= kFewRecipients;
      return few ? T::kOneAddress : trouble;
    }
    case T::kDestinationDown: {
      const bool all = symptoms.delivered == 0 && symptoms.destinations >= kManyDestinations;
      return all ? T::kOwnNetwork : trouble;
    }
    case T::kUnclear:
      return symptoms.destination_down ? T::kDestinationDown : trouble;
    default:
      return trouble;
  }
}

Fault FaultOf(const Symptoms& symptoms) {
  const Trouble trouble = TroubleOf(symptoms);
  for (const Row& row : kFaultTable) {
    if (row.trouble != trouble) continue;
    if (row.culprit.has_value() && *row.culprit != symptoms.culprit) continue;
    Fault fault;
    fault.trouble = trouble;
    fault.sentence = row.sentence;
    fault.patience = row.patience;
    for (absl::string_view remedy : {row.remedy, row.then}) {
      if (!remedy.empty()) fault.remedies.push_back(remedy);
    }
    return fault;
  }
  return {};
}

std::vector<absl::string_view> FaultTexts() {
  std::vector<absl::string_view> texts;
  for (const Row& row : kFaultTable) {
    for (absl::string_view one : {row.sentence, row.remedy, row.then}) {
      if (!one.empty()) texts.push_back(one);
    }
  }
  return texts;
}

const AnswerWords& WordsOf(ReplyClass reply_class) {
  return kClasses[static_cast<size_t>(reply_class)].words;
}

absl::string_view ProviderName(absl::string_view organisation) {
  for (const Provider& one : kProviders) {
    if (one.organisation == organisation) return one.name;
  }
  return organisation;
}

}  // namespace deferd

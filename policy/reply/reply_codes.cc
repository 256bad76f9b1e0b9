#include "policy/reply/reply_codes.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace deferd {

namespace {

constexpr absl::string_view kNothing = "Nothing to do: this is not an error.";

constexpr ReplyCodeInfo kReplyCodes[] = {
    {"211", "The server reports its state or gives help.", kNothing},
    {"214", "The server reports its state or gives help.", kNothing},
    {"220", "The server is ready.", kNothing},
    {"221", "The server closes the connection as requested.", kNothing},
    {"235", "The login succeeded.", kNothing},
    {"250",
     "The server carried out the command; after the message's text: it accepted the message.",
     kNothing},
    {"251", "The user has moved; the server forwards the message.",
     "Nothing now. Write to the new address next time."},
    {"252", "The server does not say whether the user exists, and accepts the message.", kNothing},
    {"334", "The server continues the login.", kNothing},
    {"354", "The server waits for the message's text.", kNothing},
    {"421",
     "The server is not available now and closes the connection: too busy, too many "
     "connections, or it does not trust the sending server yet.",
     "The sending server tries again. If this continues for hours, read the rest of the answer."},
    {"422", "The mailbox is full (used by some servers).", "Ask the recipient to make room."},
    {"432", "The recipient's server does not accept mail now, or requires a new password first.",
     "The sending server tries again. If we log in there, check the password."},
    {"450",
     "The mailbox is not available now: busy, deferred by greylisting, or over a rate limit.",
     "The sending server tries again."},
    {"451", "The server has an internal error, or defers unknown senders (greylisting).",
     "The sending server tries again, usually within an hour. If this continues, ask the "
     "recipient to permit the sender."},
    {"452", "The server lacks space, or the message has too many recipients.",
     "The sending server tries again. Send to fewer recipients at once if this continues."},
    {"454", "Login or encryption does not work there at the moment.",
     "The sending server tries again. Check our user name and password, or TLS, for this server."},
    {"455", "The server cannot accept these parameters now.", "The sending server tries again."},
    {"500", "The server does not know the command, or the line was too long.",
     "Repair the program that sends; our administrator, if it is our server."},
    {"501", "A command has a wrong argument, often a malformed address.",
     "Check the addresses of sender and recipient for typos."},
    {"502", "The server does not have this command.",
     "Our administrator switches the command off for this server."},
    {"503",
     "Commands came in the wrong order, often because no recipient was accepted or a login is "
     "missing.",
     "Read the answer to the recipient first. Set a login if the server asks for one."},
    {"504", "The server does not have this parameter, or our host name (HELO) is not complete.",
     "Our administrator sets a full host name."},
    {"521", "The server never accepts mail.",
     "Check the part after the @. Reach the recipient another way."},
    {"523", "The message is too large for the recipient, or encryption is needed.",
     "Make the message smaller, or send it over an encrypted connection, as the text says."},
    {"525", "The user's account is disabled.", "Reach the person another way."},
    {"530", "The server requires a login or encryption before it accepts mail.",
     "Set user name and password, or TLS, for this server. If it is the recipient's own server, "
     "check the MX records of the recipient's domain."},
    {"534", "The server requires a stronger login method, or an application password.",
     "Change the login method for this server, or create an application password."},
    {"535", "User name or password were not accepted.", "Check user name and password."},
    {"538", "The login needs an encrypted connection.", "Switch on TLS for this server."},
    {"541", "The recipient's server refused the message, often as spam.",
     "Check the message. Ask the recipient to permit the sender."},
    {"550",
     "The mailbox does not exist, or the server refuses the message because of its own rules.",
     "Check the address for typos. If it is right, read the rest of the answer, and ask the "
     "recipient to permit the sender."},
    {"551", "The user is not on this server.", "Check the address; the answer may name another."},
    {"552", "The mailbox is full, or the message is too large.",
     "Ask the recipient to make room, or make the message smaller, as the text says."},
    {"553", "The address is not allowed or malformed, or the sender is not permitted.",
     "Check the addresses of sender and recipient."},
    {"554", "The server refused the message, usually because of spam, a block list or a policy.",
     "Read the rest of the answer: it names the reason. Without one, ask the recipient's "
     "administrator."},
    {"555", "The server does not know the parameters of the sender or recipient.",
     "Check the addresses; our administrator switches the extension off for this server."},
    {"556", "The recipient's domain does not accept mail.",
     "Check the part after the @. Reach the recipient another way."},
    {"571", "The server refuses the sender: a block, or no permission.",
     "Ask the recipient to permit the sender."},
};

constexpr absl::string_view kRecipientTypo =
    "Check the spelling of the recipient's address, or ask for the right one.";
constexpr absl::string_view kReadText = "Read the text of the answer: the code alone says little.";
constexpr absl::string_view kRecipientPermits =
    "Ask the recipient, or their administrator, to permit "
    "the sender.";
constexpr absl::string_view kSenderAuth =
    "Repair SPF, DKIM and DMARC of the sender's domain, and send through the servers they allow.";
constexpr absl::string_view kProgram = "Repair the program that made or sends the message.";
constexpr absl::string_view kTlsHelp = "Compare the encryption settings of both servers.";

// Of X.SUBJECT.DETAIL, without the X: it says whether that is final.
constexpr ReplyCodeInfo kEnhancedCodes[] = {
    {"0.0", "Something not described by another code.", kReadText},
    {"1.0", "Something about an address.", "Check the addresses of sender and recipient."},
    {"1.1", "The recipient's mailbox does not exist.", kRecipientTypo},
    {"1.2", "The recipient's domain does not exist or does not accept mail.",
     "Check the part after the @."},
    {"1.3", "The recipient's address is malformed.", kRecipientTypo},
    {"1.4", "The recipient's address stands for more than one mailbox.", kRecipientTypo},
    {"1.5", "The recipient's address is valid.", kNothing},
    {"1.6", "The recipient has moved and left no new address.", "Ask for the new address."},
    {"1.7", "The sender's address is malformed.", "Correct the sender's address."},
    {"1.8", "The sender's domain does not exist or does not accept mail.",
     "Use a sender's address whose domain has MX or A records."},
    {"1.9", "The message went on to a system that may not report back.", kNothing},
    {"1.10", "The recipient's domain publishes that it accepts no mail (null MX).",
     "Check the part after the @. Reach the recipient another way."},
    {"2.0", "Something about the mailbox.", kReadText},
    {"2.1", "The mailbox is switched off; some servers mean a rate limit.",
     "Reach the person another way, unless the text speaks of a rate."},
    {"2.2", "The mailbox is full.", "Ask the recipient to make room."},
    {"2.3", "The message is larger than the mailbox accepts.",
     "Make the message smaller or send a link to the file."},
    {"2.4", "The list behind the address could not be expanded.",
     "Tell the list's owner, and whether you may write to the list."},
    {"3.0", "Something about the receiving mail system.", kReadText},
    {"3.1", "The receiving server has no space left.", "Tell its administrator if this continues."},
    {"3.2", "The receiving server accepts no messages now: overload or maintenance.",
     "Tell its administrator if this continues."},
    {"3.3", "The receiving server lacks a feature that the message needs.",
     "Send the message in a plainer form."},
    {"3.4", "The message is larger than the server accepts.",
     "Make the message smaller or send a link to the file."},
    {"3.5", "The receiving server is set up wrongly.", "Tell its administrator."},
    {"3.6", "The message was accepted with another priority.", kNothing},
    {"4.0", "Something about network or routing.", kReadText},
    {"4.1", "The receiving server does not answer.",
     "Test port 25 from our server. If all destinations fail, look at our firewall."},
    {"4.2", "The connection was lost or refused.", "Test port 25 from our server."},
    {"4.3", "A directory or name server failed.",
     "Check the DNS of the recipient's domain, and our own resolver."},
    {"4.4", "The server does not know where to send the message.",
     "Check the MX records of the recipient's domain and our own routing."},
    {"4.5", "The mail system is congested.", "Send less at once if this continues."},
    {"4.6", "The message is in a loop.", "Find and break the forwarding loop."},
    {"4.7", "The message was not delivered in time and was given up.",
     "Look for the answers to the earlier attempts: they have the reason."},
    {"5.0", "Something about commands between the servers.", kProgram},
    {"5.1", "A command was sent out of order; often no recipient was accepted before.",
     "Read the answer to the recipient first."},
    {"5.2", "A command is malformed.", kProgram},
    {"5.3", "The message has more recipients than the server accepts.",
     "Send to fewer recipients at once."},
    {"5.4", "A command has an argument that is not valid, often an address.",
     "Check the addresses of sender and recipient."},
    {"5.5", "The servers do not speak the same version of the protocol.", kProgram},
    {"5.6", "A line of the login is too long.", kProgram},
    {"6.0", "Something about the content of the message.", kReadText},
    {"6.1", "The kind of content is not supported.", "Send the message in a plainer form."},
    {"6.2", "The message would have to be converted, which is forbidden.",
     "Send the message in a plainer form."},
    {"6.3", "The message would have to be converted, which the server cannot.",
     "Send the message in a plainer form."},
    {"6.4", "The message was converted and lost something.", "Send the message in a plainer form."},
    {"6.5", "Converting the message failed.", "Send the message in a plainer form."},
    {"6.6", "The content of the message is not available.", kProgram},
    {"6.7", "Addresses with non-ASCII letters are not accepted there.", "Use an address in ASCII."},
    {"6.8", "The server would have to answer in UTF-8, which is not allowed here.",
     "Use an address in ASCII."},
    {"6.9", "Non-ASCII headers cannot be passed on.", "Use headers and addresses in ASCII."},
    {"6.10", "The server would have to answer in UTF-8, which is not allowed here.",
     "Use an address in ASCII."},
    {"6.11", "The message has characters that are not allowed.", kProgram},
    {"7.0", "Something about security: a rule, a login or encryption.", kReadText},
    {"7.1", "The sender is not permitted by some rule; many refusals use this code.",
     "Read the text of the answer. If it names no reason, ask the recipient to permit the "
     "sender."},
    {"7.2", "The sender may not write to this list.", "Ask the list's owner."},
    {"7.3", "The message would have to be converted for security, which is not possible.",
     "Send it without encryption or signature of its own."},
    {"7.4", "A security feature is not supported.", kTlsHelp},
    {"7.5", "Encryption or decryption failed.", kTlsHelp},
    {"7.6", "An encryption method is not supported.", kTlsHelp},
    {"7.7", "The message was changed on its way.", "Send the message again."},
    {"7.8", "User name or password were not accepted.", "Check user name and password."},
    {"7.9", "The login method is too weak.",
     "Change the login method, or create an application password."},
    {"7.10", "Encryption is needed.", "Switch on TLS for this server."},
    {"7.11", "The login needs an encrypted connection.", "Switch on TLS for this server."},
    {"7.12", "The password must be stored again through another login method.",
     "Log in once with the plain mechanism over TLS."},
    {"7.13", "The account is disabled.", "Reach the person another way."},
    {"7.14", "The servers need a trust relationship first.", kRecipientPermits},
    {"7.15", "The priority of the message is too low for the server.",
     "Send the message again with a higher priority."},
    {"7.16", "The message is too large for its priority.", "Make the message smaller."},
    {"7.17", "The mailbox belongs to another person now.", "Ask for the new address."},
    {"7.18", "The domain belongs to somebody else now.", "Ask for the new address."},
    {"7.19", "The server cannot tell whether the owner has changed.",
     "Send the message again later."},
    {"7.20", "No DKIM signature of the message is valid.", kSenderAuth},
    {"7.21", "The valid DKIM signatures are not accepted by the server.", kSenderAuth},
    {"7.22", "No valid DKIM signature belongs to the author's domain.", kSenderAuth},
    {"7.23", "SPF says that this server may not send for the domain.", kSenderAuth},
    {"7.24", "The SPF record could not be read.", kSenderAuth},
    {"7.25", "The IP address of the sending server has no matching name (reverse DNS).",
     "Our administrator sets the reverse DNS."},
    {"7.26", "Several checks of the sender (SPF, DKIM, DMARC) failed.", kSenderAuth},
    {"7.27", "The sender's domain publishes that it accepts no mail (null MX).",
     "Use a sender's address that can get answers."},
    {"7.28", "Too much mail arrives at once.", "Send more slowly. Look for a compromised account."},
    {"7.29", "The ARC chain of a forwarded message is broken.",
     "The forwarder repairs ARC, or uses SRS."},
    {"7.30",
     "The message demands encryption (REQUIRETLS) that the server does not offer; some "
     "providers mean a failed DKIM signature.",
     kReadText},
};

constexpr ReplyCodeInfo kFirstDigits[] = {
    {"2", "The server carried out the command.", kNothing},
    {"3", "The server waits for more data.", kNothing},
    {"4", "Not now: the server may accept the message later.", "The sending server tries again."},
    {"5", "No: the server will not accept this message.", kReadText},
};

constexpr absl::string_view kSubjects[] = {
    "Something not described by another code.",
    "Something about an address.",
    "Something about the mailbox.",
    "Something about the receiving mail system.",
    "Something about network or routing.",
    "Something about commands between the servers.",
    "Something about the content of the message.",
    "Something about security: a rule, a login or encryption.",
};

constexpr ReplyCodeInfo kStateWords[] = {
    {"sent", "The receiving server accepted the message.", kNothing},
    {"delivered", "The receiving server accepted the message.", kNothing},
    {"queued", "The message waits for its delivery, which is due any moment.", kNothing},
    {"deferred", "A delivery failed for now; the sending server tries again by itself.",
     "Look at the server's answer, which has the reason: deferctl track --recipient ADDRESS."},
    {"deferring", "A delivery failed for now; the sending server tries again by itself.",
     "Look at the server's answer, which has the reason: deferctl track --recipient ADDRESS."},
    {"delayed", "A delivery failed for now; the sending server tries again by itself.",
     "Look at the server's answer, which has the reason: deferctl track --recipient ADDRESS."},
    {"bounced", "The delivery failed permanently and was returned to the sender.",
     "Look at the server's answer, which has the reason: deferctl track --recipient ADDRESS."},
    {"failed", "The delivery failed permanently and was returned to the sender.",
     "Look at the server's answer, which has the reason: deferctl track --recipient ADDRESS."},
    {"expired", "The sending server tried for days and gave up.",
     "Look at the answers to the earlier attempts: deferctl track --recipient ADDRESS."},
    {"held", "The message waits for a decision on this server.",
     "deferctl queue lists it, deferctl queue release releases it."},
    {"frozen", "The message waits for a decision on this server.",
     "deferctl queue lists it, deferctl queue release releases it."},
    {"rejected", "The message was refused before this server accepted it.",
     "Look at the reason: deferctl track --recipient ADDRESS."},
    {"discarded", "The message was discarded and will not be delivered.",
     "Look at the reason: deferctl track --recipient ADDRESS."},
    {"filtered", "The message arrived and was quarantined by the recipient's filters.",
     "Ask the recipient to look into the spam folder."},
    {"archived", "The message was stored and not sent.", kNothing},
};

std::optional<ReplyCodeInfo> Find(absl::Span<const ReplyCodeInfo> table, absl::string_view code) {
  for (const ReplyCodeInfo& info : table) {
    if (info.code == code) return info;
  }
  return std::nullopt;
}

}  // namespace

absl::Span<const ReplyCodeInfo> ReplyCodes() { return kReplyCodes; }
absl::Span<const ReplyCodeInfo> EnhancedCodes() { return kEnhancedCodes; }

std::optional<ReplyCodeInfo> ReplyCodeInfoOf(absl::string_view code) {
  if (std::optional<ReplyCodeInfo> known = Find(kReplyCodes, code)) return known;
  return Find(kFirstDigits, code.substr(0, 1));
}

std::optional<ReplyCodeInfo> EnhancedCodeInfoOf(absl::string_view enhanced) {
  if (enhanced.size() < 3 || enhanced[1] != '.') return std::nullopt;
  if (std::optional<ReplyCodeInfo> known = Find(kEnhancedCodes, enhanced.substr(2))) return known;
  const size_t subject = static_cast<size_t>(enhanced[2] - '0');
  if (subject >= std::size(kSubjects)) return std::nullopt;
  return ReplyCodeInfo{enhanced, kSubjects[subject], kReadText};
}

std::optional<ReplyCodeInfo> StateWordInfoOf(absl::string_view word) {
  word = absl::StripAsciiWhitespace(word);
  absl::ConsumePrefix(&word, "status=");
  for (const ReplyCodeInfo& info : kStateWords) {
    if (absl::EqualsIgnoreCase(info.code, word)) return info;
  }
  return std::nullopt;
}

}  // namespace deferd

// The arrival line, from "<= " on.
//
// The client chooses the HELO name, which may hold blanks, brackets and whole fields with
// helo_accept_junk_hosts: "H=(x) [192.0.2.1] A=plain:someone) [203.0.113.9] P=esmtp ...". Among the
// possible ends of H=, the right one is the leftmost after which the whole rest of the line has
// Exim's format: fields in Exim's order, each once, every quote closed, flags from a list. A forged
// end cannot pass, because Exim's own " [IP] P=..." follows it and does not fit into that grammar.
// The same holds for an RFC 1413 identity, a certificate name and an SNI.

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "limiter/intake/exim_scan.h"
#include "policy/message_id.h"

namespace deferd {
namespace {

// With more possible ends of the HELO name than this, no field is trusted.
constexpr int kMaxHostEnds = 32;

// Position of a field in Exim's order.
enum Rank {
  kAnywhere,
  kInterface,
  kUser,
  kProtocol,
  kCipher,
  kVerified,
  kPeerName,
  kServerName,
  kAuthenticator,
  kSize,
  kBodyType,
  kDkim,
  kReceiveTime,
  kQueue,
  kHeaderId,
  kSubject,
  kUnknown,  // KEY=value of a later Exim version
  kNone,     // not a field
};

Rank RankOf(absl::string_view key) {
  switch (key.size()) {
    case 1:
      switch (key[0]) {
        case 'A':
          return kAuthenticator;
        case 'I':
          return kInterface;
        case 'P':
          return kProtocol;
        case 'Q':
          return kQueue;
        case 'R':
          return kAnywhere;
        case 'S':
          return kSize;
        case 'T':
          return kSubject;
        case 'U':
          return kUser;
        case 'X':
          return kCipher;
        default:
          break;
      }
      break;
    case 2:
      if (key == "id") return kHeaderId;
      if (key == "CV") return kVerified;
      if (key == "DN") return kPeerName;
      if (key == "RT") return kReceiveTime;
      break;
    case 3:
      if (key == "id*") return kHeaderId;
      if (key == "SNI") return kServerName;
      if (key == "M8S") return kBodyType;
      if (key == "PRX") return kAnywhere;
      break;
    case 4:
      if (key == "DKIM") return kDkim;
      break;
    default:
      break;
  }
  if (key.empty() || !absl::ascii_isupper(key[0])) return kNone;
  absl::ConsumeSuffix(&key, "*");
  for (char c : key) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '-') return kNone;
  }
  return kUnknown;
}

// "L", "L.-", "K", "TFO*", "DS", "PRDR", and flags of later Exim versions: capitals, then marks.
// Never a bracket, with which the host's address begins.
bool IsFlag(absl::string_view token) {
  constexpr size_t kLongest = 12;
  if (token.empty() || token.size() > kLongest || !absl::ascii_isupper(token[0])) return false;
  const size_t marks = token.find_first_of("*.-+!");
  const absl::string_view word = token.substr(0, marks);
  for (char c : word) {
    if (!absl::ascii_isalnum(c) && c != '_') return false;
  }
  return marks == absl::string_view::npos ||
         token.find_first_not_of("*.-+!", marks) == absl::string_view::npos;
}

// No quote, escaped or not: forged text would have to meet Exim's own text at a closing quote.
bool IsPlain(absl::string_view text) { return !absl::StrContains(text, '"'); }

// A sender, recipient or Message-ID: quoted words at the beginning of a word, and escaped
// characters.
bool IsAddress(absl::string_view text) {
  bool word_begins = true;
  for (size_t at = 0; at < text.size();) {
    if (word_begins && text[at] == '"') {
      const size_t size = QuotedEnd(text.substr(at));
      if (size == 0) return false;
      at += size;
      if (at < text.size() && text[at] != '.' && text[at] != '@') return false;
      word_begins = false;
    } else if (text[at] == '\\' && at + 1 < text.size()) {
      at += 2;
      word_begins = false;
    } else if (text[at] == '"') {
      return false;
    } else {
      word_begins = text[at] == '.';
      ++at;
    }
  }
  return true;
}

// " for a@b c@d ...": to the end of the line. Syslog may have cut the last address.
bool TakeRecipients(absl::string_view in, int* count) {
  while (TakePrefix(&in, " ")) {
    const size_t size = AddressEnd(in, ' ');
    if (size == absl::string_view::npos) return false;
    const absl::string_view address = in.substr(0, size);
    in.remove_prefix(size);
    const bool looks_like_field =
        !absl::StrContains(address, '@') && (address.empty() || absl::StrContains(address, '=') ||
                                             address.front() == '<' || address.front() == '[');
    if (!IsAddress(address) || (looks_like_field && !in.empty())) return false;
    ++*count;
  }
  return in.empty();
}

// " from <a@b>" and " for ..." at the end of the line.
bool TakeEnvelope(absl::string_view in, int* recipients) {
  if (TakePrefix(&in, " from ")) {
    absl::string_view sender;
    if (!TakeBracketed(&in, &sender)) return false;
    if (!IsAddress(sender) || AddressEnd(sender, ' ') != sender.size()) return false;
  }
  *recipients = 0;
  if (TakePrefix(&in, " for")) return TakeRecipients(in, recipients);
  return in.empty();
}

bool TakeValue(Rank rank, absl::string_view* in, absl::string_view* value) {
  if (rank == kSubject) {
    const size_t size = in->empty() || in->front() != '"' ? 0 : QuotedEnd(*in);
    if (size != 0) *value = in->substr(1, size - 2);
    in->remove_prefix(size);
    return size != 0;
  }
  if (rank == kPeerName || (rank == kServerName && absl::StartsWith(*in, "\""))) {
    return TakeLooselyQuoted(in, value);
  }
  if (rank == kHeaderId) {
    const size_t size = AddressEnd(*in, ' ');
    if (size == absl::string_view::npos) return false;
    *value = in->substr(0, size);
    in->remove_prefix(size);
    return IsAddress(*value);
  }
  *value = TakeToken(in);
  return IsPlain(*value);
}

struct Fields {
  absl::string_view user;
  absl::string_view protocol;
  absl::string_view login;
  absl::string_view bounce_of;
  absl::string_view message_id;
  absl::string_view subject;
  int recipients = 0;
  // The line contains an ident reply, a certificate name or an SNI, which the client chose.
  bool peer_text = false;
};

void SetField(Rank rank, absl::string_view key, absl::string_view value, Fields* fields) {
  if (rank == kUser) {
    fields->user = value;
  } else if (rank == kProtocol) {
    fields->protocol = value;
  } else if (rank == kAuthenticator) {
    // authenticator:id:sender; the last two are optional
    const size_t colon = value.find(':');
    if (colon == absl::string_view::npos) return;
    value.remove_prefix(colon + 1);
    fields->login = value.substr(0, value.find(':'));
  } else if (rank == kSubject) {
    fields->subject = value;
  } else if (rank == kHeaderId) {
    fields->message_id = value;
  } else if (key == "R" && IsEximId(value)) {
    fields->bounce_of = value;
  }
}

// Reads everything after H=, or after the sender of a local submission. Returns true if all of it
// has Exim's format; `fields` gets what precedes the first mismatch. `guess`: skips quoted values
// of unknown fields, whose quotes may not be escaped.
bool TakeFields(bool guess, absl::string_view in, Fields* fields) {
  Rank last = kAnywhere;
  while (!in.empty()) {
    if (in.front() != ' ') return false;
    if (absl::StartsWith(in, " from <") || absl::StartsWith(in, " for ")) {
      return TakeEnvelope(in, &fields->recipients);
    }
    in.remove_prefix(1);
    size_t size = 0;
    while (size < in.size() && in[size] != ' ' && in[size] != '=') ++size;
    const absl::string_view key = in.substr(0, size);
    in.remove_prefix(size);
    if (!TakePrefix(&in, "=")) {
      if (!IsFlag(key)) return false;
      continue;
    }
    const Rank rank = RankOf(key);
    if (rank == kNone) return false;
    if (rank != kAnywhere && rank != kUnknown) {
      if (rank <= last) return false;
      last = rank;
    }
    absl::string_view value;
    if (guess && rank == kUnknown && absl::StartsWith(in, "\"")) {
      if (!TakeLooselyQuoted(&in, &value)) return false;
      fields->peer_text = true;
      continue;
    }
    if (!TakeValue(rank, &in, &value)) return false;
    SetField(rank, key, value, fields);
    if (rank == kUser || rank == kPeerName || rank == kServerName) fields->peer_text = true;
  }
  return true;
}

bool BeginsWithField(absl::string_view in) {
  if (!TakePrefix(&in, " ")) return false;
  const size_t equals = in.find('=');
  return equals != absl::string_view::npos && RankOf(in.substr(0, equals)) != kNone;
}

// After the only end of H=, across quoted fields of later Exim versions. Their text may come from
// the client and imitate A=, so the whole rest must match, the protocol must indicate a login, and
// exactly one field may be it.
bool GuessLogin(absl::string_view in, const Fields& before, EximLine* line) {
  Fields found = before;
  if (!TakeFields(/*guess=*/true, in, &found) || found.login.empty()) return false;
  const size_t login = in.find(" A=");
  if (!absl::EndsWith(found.protocol, "a") ||
      in.find(" A=", login + 1) != absl::string_view::npos) {
    return false;
  }
  line->login = found.login;
  line->message_id = found.message_id;
  line->subject = found.subject;
  line->recipients = found.recipients;
  return true;
}

// After " H=".
void TakeHostAndFields(absl::string_view in, const Fields& before, EximLine* line) {
  HostEnd end;
  HostEnd only;
  Fields fields_of_only;
  int ends = 0;
  while (ends < kMaxHostEnds && NextHostEnd(in, end.size, &end)) {
    ++ends;
    Fields found = before;
    if (TakeFields(/*guess=*/false, in.substr(end.size), &found)) {
      line->host_ip = end.ip;
      line->login = found.login;
      line->bounce_of = found.bounce_of;
      line->message_id = found.message_id;
      line->subject = found.subject;
      line->recipients = found.recipients;
      return;
    }
    only = end;
    fields_of_only = found;
  }
  // If H= has only one possible end, nothing before the mismatch can be forged, unless the client's
  // certificate name or SNI precedes it; fields before those (A=) are Exim's own.
  if (ends == 1 && !fields_of_only.peer_text) {
    line->host_ip = only.ip;
    line->login = fields_of_only.login;
    line->bounce_of = fields_of_only.bounce_of;
  }
  if (ends == 1 && line->login.empty() && GuessLogin(in.substr(only.size), before, line)) {
    line->host_ip = only.ip;
    return;
  }
  if (ends != 1 || fields_of_only.peer_text) {
    line->doubtful = true;
    line->bounce_of = before.bounce_of;
  }
}

}  // namespace

bool ParseArrival(absl::string_view in, EximLine* line) {
  const size_t sender_size = AddressEnd(in, ' ');
  if (sender_size == 0 || sender_size == absl::string_view::npos) return false;
  line->sender = in.substr(0, sender_size);
  if (line->sender == "<>") {
    line->sender = "";
  } else if (absl::StrContains(line->sender, '=') && !absl::StrContains(line->sender, '@')) {
    return false;  // a field where the sender should be
  }
  in.remove_prefix(sender_size);

  Fields fields;
  for (absl::string_view rest = in; TakePrefix(&rest, " ");) {
    const absl::string_view token = TakeToken(&rest);
    if (absl::StartsWith(token, "R=")) {
      SetField(kAnywhere, "R", token.substr(2), &fields);
    } else if (token != "DS") {
      break;
    }
    in = rest;
  }

  line->bounce_of = fields.bounce_of;
  if (TakePrefix(&in, " H=")) {
    TakeHostAndFields(in, fields, line);
    return true;
  }
  // Only this host's own users and programs can write this.
  if (!in.empty() && !BeginsWithField(in)) {
    line->doubtful = true;
    return true;
  }
  if (TakeFields(/*guess=*/true, in, &fields)) {
    line->subject = fields.subject;
    line->recipients = fields.recipients;
  }
  line->login = fields.login;
  line->local_submission =
      absl::StartsWith(fields.protocol, "local") || absl::StartsWith(fields.protocol, "utf8local");
  if (line->local_submission) line->user = fields.user;
  line->bounce_of = fields.bounce_of;
  line->message_id = fields.message_id;
  return true;
}

}  // namespace deferd

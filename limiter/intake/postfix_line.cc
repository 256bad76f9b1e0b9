#include "limiter/intake/postfix_line.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "policy/message_id.h"

namespace deferd {

namespace {

using absl::string_view;

// Programs whose lines are about messages.
constexpr string_view kPrograms[] = {"smtpd", "pickup",  "cleanup", "qmgr",      "oqmgr", "nqmgr",
                                     "smtp",  "lmtp",    "local",   "virtual",   "pipe",  "error",
                                     "retry", "discard", "bounce",  "postsuper", "qmqpd"};
constexpr string_view kAgents[] = {"smtp", "lmtp",  "local", "virtual",
                                   "pipe", "error", "retry", "discard"};
// Those that make no connections; their text may be a program's output.
constexpr string_view kLocalAgents[] = {"local", "virtual", "pipe", "discard"};

template <size_t N>
bool IsOneOf(string_view word, const string_view (&words)[N]) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

// Up to the next ", ", which is removed too.
string_view TakeField(string_view* text) {
  const size_t end = text->find(", ");
  const string_view field = text->substr(0, end);
  text->remove_prefix(end == string_view::npos ? text->size() : end + 2);
  return field;
}

// An address between "<" and the ">" that ends it, both taken. A quoted local part (RFC 5321
// 4.1.2), which may hold any of them, begins with its quote. Other quotes, as before Postfix 3.5,
// are letters as any; a ">" ends an address if nothing of it follows. Postfix writes all addresses
// so: nobody but who made a log readable for others leaves the brackets out.
bool TakeAddress(string_view* text, string_view* address) {
  if (absl::StartsWith(*text, "&lt;")) {
    const size_t end = text->find("&gt;");
    if (end == string_view::npos) return false;
    *address = text->substr(4, end - 4);
    text->remove_prefix(end + 4);
    return true;
  }
  if (text->empty() || text->front() != '<') {
    *address = text->substr(0, text->find_first_of(" ,"));
    text->remove_prefix(address->size());
    return !text->empty() || !address->empty();
  }
  size_t i = 1;
  if (text->size() > 1 && (*text)[1] == '"') {
    for (i = 2; i < text->size() && (*text)[i] != '"'; ++i) {
      if ((*text)[i] == '\\') ++i;
    }
  }
  for (; i < text->size(); ++i) {
    if ((*text)[i] != '>') continue;
    if (i + 1 < text->size() && (*text)[i + 1] != ',' && (*text)[i + 1] != ' ') continue;
    *address = text->substr(1, i - 1);
    text->remove_prefix(i + 1);
    return true;
  }
  return false;
}

bool LooksLikeIp(string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == '.' || c == ':';
  });
}

// "NAME[IP]:PORT" or "NAME[path]" or "NAME".
void TakeHost(string_view text, string_view* name, string_view* ip) {
  const size_t open = text.find('[');
  *name = text.substr(0, open);
  if (open == string_view::npos) return;
  const string_view inside = text.substr(open + 1, text.find(']', open) - open - 1);
  if (LooksLikeIp(inside)) *ip = inside;
}

// The port of "NAME[IP]:PORT"; 0 if there is none.
int PortOf(string_view relay) {
  const size_t close = relay.rfind("]:");
  int port = 0;
  if (close == string_view::npos || !absl::SimpleAtoi(relay.substr(close + 2), &port)) return 0;
  return port;
}

// If no server took the message, Postfix's sentence names the host: "connect to NAME[IP]:PORT:
// Connection refused", "lost connection with NAME[IP] while ...". error(8) repeats it for other
// queued mail to that destination.
void TakeHostOfSentence(string_view text, PostfixLine* line) {
  absl::ConsumePrefix(&text, "delivery temporarily suspended: ");
  for (string_view words :
       {"connect to ", "lost connection with ", "conversation with ", "host "}) {
    if (!absl::ConsumePrefix(&text, words)) continue;
    string_view name, ip;
    const string_view host = text.substr(0, text.find_first_of(" \t"));
    TakeHost(host, &name, &ip);
    if (ip.empty()) return;
    line->host = name;
    line->host_ip = ip;
    line->port = PortOf(absl::StripSuffix(host, ":"));
    return;
  }
}

PostfixLine Malformed(PostfixLine line) {
  line.kind = PostfixLineKind::kMalformed;
  return line;
}

// client=NAME[IP], sasl_method=M, sasl_username=U, sasl_sender=S, orig_queue_id=I, orig_client=C.
// The client chooses sasl_sender: nothing after it is a login.
PostfixLine Client(string_view text, PostfixLine line) {
  line.kind = PostfixLineKind::kClient;
  string_view name;
  TakeHost(TakeField(&text), &name, &line.client_ip);
  if (line.client_ip.empty() && name.empty()) return Malformed(line);
  while (!text.empty()) {
    string_view field = TakeField(&text);
    // AUTH= of MAIL FROM (RFC 4954), which any client may send: the rest is free text.
    if (absl::StartsWith(field, "sasl_sender=")) break;
    if (absl::ConsumePrefix(&field, "sasl_username=")) {
      if (line.login.empty()) line.login = field;
    } else if (absl::ConsumePrefix(&field, "orig_queue_id=")) {
      line.orig_id = IsPostfixId(field) ? field : string_view();
    } else if (absl::ConsumePrefix(&field, "orig_client=")) {
      string_view orig_name;
      TakeHost(field, &orig_name, &line.orig_client_ip);
    }
  }
  return line;
}

PostfixLine Pickup(string_view text, PostfixLine line) {
  line.kind = PostfixLineKind::kPickup;
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) {
    ++digits;
  }
  line.uid = text.substr(0, digits);
  text.remove_prefix(digits);
  if (digits == 0 || !absl::ConsumePrefix(&text, " from=") || !TakeAddress(&text, &line.sender)) {
    return Malformed(line);
  }
  if (absl::ConsumePrefix(&text, " orig_id=") && IsPostfixId(text)) line.orig_id = text;
  return line;
}

// After "from=": <SENDER>, size=N, nrcpt=N (queue active), or <SENDER>, status=expired, ...
PostfixLine Queue(string_view text, PostfixLine line) {
  // Without its brackets, an empty text is not the null sender.
  if (absl::StartsWith(text, ",")) return line;
  if (!TakeAddress(&text, &line.sender)) return Malformed(line);
  if (absl::StartsWith(text, ", size=")) {
    line.kind = PostfixLineKind::kActive;
    const size_t nrcpt = text.find(", nrcpt=");
    if (nrcpt != string_view::npos) {
      string_view digits = text.substr(nrcpt + 8);
      digits = digits.substr(0, digits.find_first_not_of("0123456789"));
      if (!absl::SimpleAtoi(digits, &line.nrcpt)) line.nrcpt = 0;
    }
  } else if (absl::StartsWith(text, ", status=expired") ||
             absl::StartsWith(text, ", status=force-expired")) {
    line.kind = PostfixLineKind::kExpired;
    line.text = text.substr(2);
  } else {
    line.kind = PostfixLineKind::kOther;
  }
  return line;
}

// The last id in "... queued as ID" or "forwarded as ID", optionally followed by ")" or ".".
string_view QueuedAsIn(string_view text) {
  while (!text.empty() && absl::StrContains(").,;\"' ", text.substr(text.size() - 1))) {
    text.remove_suffix(1);
  }
  const size_t blank = text.rfind(' ');
  if (blank == string_view::npos) return "";
  const string_view id = text.substr(blank + 1);
  const string_view before = text.substr(0, blank);
  if (!absl::EndsWith(before, "queued as") && !absl::EndsWith(before, "forwarded as")) return "";
  return IsPostfixId(id) ? id : string_view();
}

// After "to=": <RCPT>, orig_to=<..>, relay=.., conn_use=.., delay=.., delays=.., dsn=.., status=..
PostfixLine Delivery(string_view text, PostfixLine line) {
  line.kind = PostfixLineKind::kDelivery;
  if (!TakeAddress(&text, &line.recipient) || !absl::ConsumePrefix(&text, ", ")) {
    return Malformed(line);
  }
  if (absl::ConsumePrefix(&text, "orig_to=") &&
      (!TakeAddress(&text, &line.original) || !absl::ConsumePrefix(&text, ", "))) {
    return Malformed(line);
  }
  if (!absl::ConsumePrefix(&text, "relay=")) return Malformed(line);
  const string_view relay = TakeField(&text);
  TakeHost(relay, &line.host, &line.host_ip);
  line.to_socket = line.host_ip.empty() && absl::EndsWith(relay, "]") &&
                   absl::StrContains(relay.substr(line.host.size()), '/');
  line.port = PortOf(relay);
  // Only numbers up to the status.
  while (!absl::StartsWith(text, "status=")) {
    const string_view field = TakeField(&text);
    const size_t equals = field.find('=');
    if (equals == string_view::npos || text.empty()) return Malformed(line);
  }
  text.remove_prefix(sizeof("status=") - 1);
  const size_t blank = text.find(' ');
  line.status = text.substr(0, blank);
  text.remove_prefix(blank == string_view::npos ? text.size() : blank + 1);
  if (absl::ConsumePrefix(&text, "(")) absl::ConsumeSuffix(&text, ")");
  line.text = text;
  line.queued_as = QueuedAsIn(text);
  if (line.host_ip.empty() && !IsOneOf(line.agent, kLocalAgents)) TakeHostOfSentence(text, &line);
  if (line.host == "none") line.host = "";
  return line;
}

// "reject: RCPT from NAME[IP]: TEXT; from=<S> to=<R> proto=ESMTP helo=<H>[ sasl_username=<U>]".
// TEXT and the addresses are only shown.
PostfixLine Rejected(string_view action, string_view text, PostfixLine line) {
  line.kind = PostfixLineKind::kRejected;
  line.action = action;
  const size_t from = text.find(" from ");
  if (from != string_view::npos && from < 40) {
    const size_t colon = text.find("]: ", from);
    if (colon != string_view::npos) {
      line.stage = text.substr(0, from);
      TakeHost(text.substr(from + 6, colon + 1 - from - 6), &line.host, &line.client_ip);
      text.remove_prefix(colon + 3);
    }
  }
  const size_t end = text.rfind("; from=<");
  line.text = text.substr(0, end);
  if (end == string_view::npos) return line;
  string_view rest = text.substr(end + 7);
  if (TakeAddress(&rest, &line.sender) && absl::ConsumePrefix(&rest, " to=")) {
    TakeAddress(&rest, &line.recipient);
  }
  // Postfix removes "<", ">" and blanks from the HELO name, so the text after the last one is
  // Postfix's own: sasl_username=<U>.
  const size_t helo = rest.rfind(" helo=<");
  if (helo == string_view::npos) return line;
  rest.remove_prefix(helo + 7);
  const size_t close = rest.find_first_of("<> ");
  if (close == string_view::npos || rest[close] != '>') return line;
  rest.remove_prefix(close + 1);
  if (absl::ConsumePrefix(&rest, " sasl_username=<") && absl::ConsumeSuffix(&rest, ">")) {
    line.login = rest;
  }
  return line;
}

// "proxy-accept: END-OF-MESSAGE: 250 .. queued as ID; from=<S> to=<R> proto=ESMTP helo=<H>", or
// "proxy-reject: ..": the filter's reply. The sender after it is chosen by the client.
PostfixLine Proxied(bool accepted, string_view text, PostfixLine line) {
  const size_t colon = text.find(": ");
  if (colon == string_view::npos || colon > 40) return line;
  line.stage = text.substr(0, colon);
  text.remove_prefix(colon + 2);
  const size_t end = text.find("; from=");
  line.text = text.substr(0, end);
  line.kind = accepted ? PostfixLineKind::kProxyAccept : PostfixLineKind::kRejected;
  line.action = "proxy-reject";
  line.queued_as = QueuedAsIn(line.text);
  if (end == string_view::npos) return line;
  string_view rest = text.substr(end + 7);
  if (TakeAddress(&rest, &line.sender) && absl::ConsumePrefix(&rest, " to=")) {
    TakeAddress(&rest, &line.recipient);
  }
  return line;
}

// "reject", "hold", "discard", or "milter-" with one of these; empty if `text` begins with none.
string_view TakeAction(string_view* text) {
  string_view rest = *text;
  absl::ConsumePrefix(&rest, "milter-");
  for (string_view word : {"reject", "hold", "discard"}) {
    if (!absl::StartsWith(rest, word) || !absl::StartsWith(rest.substr(word.size()), ": "))
      continue;
    const size_t size = text->size() - rest.size() + word.size();
    const string_view action = text->substr(0, size);
    text->remove_prefix(size + 2);
    return action;
  }
  return "";
}

PostfixLine Notice(string_view text, PostfixLine line) {
  const size_t colon = text.find(" notification: ");
  if (colon == string_view::npos) return line;
  line.notice_id = text.substr(colon + 15);
  if (IsPostfixId(line.notice_id)) line.kind = PostfixLineKind::kNotice;
  return line;
}

}  // namespace

bool IsPostfixTag(string_view tag, string_view* program) {
  const size_t slash = tag.rfind('/');
  if (slash == string_view::npos) return false;
  *program = tag.substr(slash + 1);
  return IsOneOf(*program, kPrograms);
}

bool IsPostfixUnit(string_view tag) {
  if (!absl::ConsumePrefix(&tag, "postfix")) return false;
  return tag.empty() || tag.front() == '/' || absl::EndsWith(tag, ".service");
}

string_view PostfixProgramOf(string_view text) {
  constexpr struct {
    string_view begins;
    string_view program;
  } kLines[] = {{"client=", "smtpd"},
                {"uid=", "pickup"},
                {"message-id=", "cleanup"},
                {"resent-message-id=", "cleanup"},
                {"milter-", "cleanup"},
                {"reject: ", "smtpd"},
                {"hold: ", "smtpd"},
                {"discard: ", "smtpd"},
                {"from=", "qmgr"},
                {"removed", "qmgr"},
                {"placed on hold", "postsuper"},
                {"sender non-delivery", "bounce"},
                {"sender delay", "bounce"},
                {"postmaster non-delivery", "bounce"}};
  for (string_view begins : {"NOQUEUE: ", "proxy-", "connect from ", "disconnect from "}) {
    if (absl::StartsWith(text, begins)) return "smtpd";
  }
  const string_view whole = text;
  const size_t colon = text.find(": ");
  if (colon == string_view::npos || !IsPostfixId(text.substr(0, colon))) return "";
  text.remove_prefix(colon + 2);
  for (const auto& line : kLines) {
    if (absl::StartsWith(text, line.begins)) return line.program;
  }
  if (!absl::StartsWith(text, "to=")) return "";
  // The relay shows which agent delivered: local(8) and virtual(8) give their own name, pipe(8) a
  // service's, lmtp(8) a socket.
  const PostfixLine line = ParsePostfixLine("smtp", whole);
  if (line.kind != PostfixLineKind::kDelivery || !line.host_ip.empty()) return "smtp";
  if (line.to_socket) return "lmtp";
  if (line.host == "local" || line.host == "virtual") return line.host;
  if (!line.host.empty()) return "pipe";
  const bool reached_nobody = absl::StartsWith(line.text, "Host ") ||
                              absl::StartsWith(line.text, "Domain ") ||
                              absl::StartsWith(line.text, "Name service");
  return reached_nobody ? "smtp" : "error";
}

PostfixLine ParseMailScannerLine(string_view text) {
  PostfixLine line;
  if (!absl::ConsumePrefix(&text, "Requeue: ")) return line;
  const size_t to = text.find(" to ");
  if (to == string_view::npos) return line;
  string_view id = text.substr(0, to);
  id = id.substr(0, id.find('.'));  // MailScanner adds ".A7D26" to make ids unique
  string_view next = text.substr(to + 4);
  next = next.substr(0, next.find_first_of(" ,"));
  if (!IsPostfixId(id) || !IsPostfixId(next)) return line;
  line.kind = PostfixLineKind::kRequeued;
  line.id = id;
  line.queued_as = next;
  return line;
}

PostfixLine ParsePostfixLine(string_view program, string_view text) {
  PostfixLine line;
  line.agent = program;
  const bool session = program == "smtpd" || program == "qmqpd";
  if (session &&
      (absl::StartsWith(text, "connect from ") || absl::StartsWith(text, "disconnect from "))) {
    line.kind = PostfixLineKind::kSession;
    return line;
  }
  const size_t colon = text.find(": ");
  if (colon == string_view::npos) return line;
  const string_view first = text.substr(0, colon);
  string_view rest = text.substr(colon + 2);
  if (first == "NOQUEUE") {
    const string_view action = TakeAction(&rest);
    if (!action.empty()) return Rejected(action, rest, line);
    if (!session || !absl::ConsumePrefix(&rest, "client=")) return line;
    line = Client(rest, line);
    if (line.kind == PostfixLineKind::kClient) line.kind = PostfixLineKind::kProxyClient;
    return line;
  }
  if (session && absl::StartsWith(first, "proxy-")) {
    const bool accepted = first == "proxy-accept";
    return accepted || first == "proxy-reject" ? Proxied(accepted, rest, line) : line;
  }
  if (!IsPostfixId(first)) return line;
  line.id = first;
  if (session || program == "cleanup") {
    if (const string_view action = TakeAction(&rest); !action.empty()) {
      return Rejected(action, rest, line);
    }
  }
  if (session) {
    return absl::ConsumePrefix(&rest, "client=") ? Client(rest, line) : line;
  }
  if (program == "pickup") {
    return absl::ConsumePrefix(&rest, "uid=") ? Pickup(rest, line) : line;
  }
  if (program == "cleanup") {
    if (absl::ConsumePrefix(&rest, "message-id=")) {
      line.kind = PostfixLineKind::kMessageId;
      line.message_id = rest;
    } else if (absl::StartsWith(rest, "resent-message-id=")) {
      line.kind = PostfixLineKind::kMessageId;
    }
    return line;
  }
  if (program == "bounce") return Notice(rest, line);
  if (rest == "removed") {
    line.kind = PostfixLineKind::kRemoved;
    return line;
  }
  if (program == "postsuper") {
    if (rest == "placed on hold") line.kind = PostfixLineKind::kHeld;
    line.text = rest;
    return line;
  }
  if (IsOneOf(program, kAgents)) {
    return absl::ConsumePrefix(&rest, "to=") ? Delivery(rest, line) : line;
  }
  return absl::ConsumePrefix(&rest, "from=") ? Queue(rest, line) : line;  // qmgr
}

}  // namespace deferd

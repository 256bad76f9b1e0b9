// Parses Exim's rejections at SMTP time: "H=(x) [ip] X=.. A=.. F=<..> rejected RCPT <..>: why".
//
// Fields come in any order before "rejected"; the reason after it is free text. So is the HELO name
// in H=, which may imitate a whole rejection: if the line can be read in two ways, nothing in it is
// trusted.

#include "absl/strings/match.h"
#include "limiter/intake/exim_scan.h"

namespace deferd {
namespace {

bool BeginsRejection(absl::string_view in) {
  return absl::StartsWith(in, "rejected ") || absl::StartsWith(in, "temporarily rejected ");
}

// Reads up to and including "rejected". False: not found.
bool TakeFields(absl::string_view* in, EximLine* line, bool* plain) {
  while (TakePrefix(in, " ")) {
    if (BeginsRejection(*in)) return true;
    absl::string_view ignored;
    if (TakePrefix(in, "F=")) {
      if (!TakeBracketed(in, &line->sender)) return false;
    } else if (TakePrefix(in, "DN=")) {
      if (!TakeLooselyQuoted(in, &ignored)) return false;
    } else {
      const absl::string_view token = TakeToken(in);
      const bool flag = token.size() <= 4 && !absl::EndsWith(token, ":");
      if (!flag && !absl::StrContains(token, '=')) return false;
      if (absl::StrContains(token, '"')) *plain = false;  // part of a client's certificate name
      if (!absl::StartsWith(token, "A=")) continue;
      const size_t colon = token.find(':');
      if (colon == absl::string_view::npos) continue;
      const absl::string_view login = token.substr(colon + 1);
      line->login = login.substr(0, login.find(':'));
    }
  }
  return false;
}

// Whether a rejection also follows a later end of H=.
bool IsAmbiguous(absl::string_view value, HostEnd end) {
  while (NextHostEnd(value, end.size, &end)) {
    EximLine ignored;
    bool plain = true;
    absl::string_view rest = value.substr(end.size);
    if (TakeFields(&rest, &ignored, &plain)) return true;
  }
  return false;
}

// "mx.example (helo) [192.0.2.1]:25": the resolved name, or the HELO name.
absl::string_view HostName(absl::string_view value) {
  const absl::string_view name = TakeToken(&value);
  if (absl::StartsWith(name, "[")) return {};
  if (!absl::StartsWith(name, "(") || !absl::EndsWith(name, ")")) return name;
  return name.substr(1, name.size() - 2);
}

// From "rejected" on: " RCPT <a@b>: why", " after DATA: why", " from <a@b> H=..: why".
void ParseReason(absl::string_view in, EximLine* line) {
  line->temporary = TakePrefix(&in, "temporarily ");
  TakePrefix(&in, "rejected ");
  line->text = in;
  for (absl::string_view command : {"RCPT ", "MAIL ", "from "}) {
    absl::string_view rest = in;
    absl::string_view address;
    if (!TakePrefix(&rest, command)) continue;
    if (!absl::StartsWith(rest, "<")) {  // as sent by the client
      const size_t size = AddressEnd(rest, ':');
      if (size == absl::string_view::npos || BlankAt(rest) < size) return;
      address = rest.substr(0, size);
      rest.remove_prefix(size);
    } else if (!TakeBracketed(&rest, &address)) {
      return;
    }
    line->refused = command.substr(0, command.size() - 1);
    (command == "RCPT " ? line->recipient : line->sender) = address;
    if (TakePrefix(&rest, ": ")) line->text = rest;
    return;
  }
  // Exim's own words, except for the text after HELO or EHLO.
  const size_t colon = in.find(": ");
  if (colon == absl::string_view::npos) return;
  line->refused = in.substr(0, colon);
  if (absl::StartsWith(in, "EHLO") || absl::StartsWith(in, "HELO")) return;
  line->text = in.substr(colon + 2);
}

}  // namespace

bool ParseRejection(absl::string_view in, EximLine* line) {
  EximLine found;
  bool plain = true;
  if (!BeginsRejection(in)) {
    if (TakePrefix(&in, "H=")) {
      HostEnd end;
      if (!NextHostEnd(in, 0, &end)) return false;
      found.host = HostName(in.substr(0, end.size));
      found.host_ip = end.ip;
      plain = !IsAmbiguous(in, end);
      in.remove_prefix(end.size);
    } else if (absl::StartsWith(in, "U=")) {
      found.user = TakeToken(&in).substr(2);
    } else if (absl::StartsWith(in, "F=<")) {
      absl::string_view token = TakeToken(&in).substr(2);
      TakeBracketed(&token, &found.sender);
    } else {
      return false;
    }
    if (!TakeFields(&in, &found, &plain)) return false;
  }
  if (!plain) {
    found = EximLine{};
    found.doubtful = true;
    found.text = in;
  } else {
    ParseReason(in, &found);
  }
  found.id = line->id;
  *line = found;
  return true;
}

}  // namespace deferd

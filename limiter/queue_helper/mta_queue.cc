#include "limiter/queue_helper/mta_queue.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "limiter/localrpc/queue_list.h"
#include "limiter/port/clock.h"
#include "policy/domain_name.h"
#include "policy/message_id.h"
#include "policy/text.h"

namespace deferd {

bool IsPlainAddress(absl::string_view text) {
  const size_t at = text.find('@');
  if (at == absl::string_view::npos || at == 0 || at > 64 || text[0] == '-') return false;
  for (const char c : text.substr(0, at)) {
    const auto byte = static_cast<unsigned char>(c);
    if (!absl::ascii_isalnum(byte) &&
        absl::string_view(".!#$%&*+/=?^_`{|}~-").find(c) == absl::string_view::npos) {
      return false;
    }
  }
  absl::StatusOr<DomainName> domain = DomainName::Parse(text.substr(at + 1));
  return domain.ok() && domain->text() == absl::AsciiStrToLower(text.substr(at + 1));
}

absl::StatusOr<MtaQueue::Ids> MtaQueue::Begin(const std::vector<std::string>& ids) {
  end_ = SystemClock().Elapsed() + kLimit;
  if (ids.empty()) return absl::InvalidArgumentError("no message id given");
  if (ids.size() > kMaxIds) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than ", kMaxIds, " messages in one request"));
  }
  Ids sorted;
  for (const std::string& id : ids) {
    const bool exim = IsEximId(id);
    if (!exim && !IsPostfixId(id)) {
      return absl::InvalidArgumentError(absl::StrCat(Quoted(id), " is not a valid message id"));
    }
    if ((exim ? programs_.exim : programs_.postfix).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(id, " is an id of ", exim ? "Exim" : "Postfix",
                       ", but deferd-queue found no such mail server"));
    }
    (exim ? sorted.exim : sorted.postfix).push_back(id);
  }
  return sorted;
}

std::vector<std::string> MtaQueue::Exim(std::vector<std::string> arguments) const {
  std::vector<std::string> argv = {programs_.exim};
  if (!programs_.exim_config.empty()) argv.insert(argv.end(), {"-C", programs_.exim_config});
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

std::vector<std::string> MtaQueue::Postfix(absl::string_view program,
                                           std::vector<std::string> arguments) const {
  std::vector<std::string> argv = {absl::StrCat(programs_.postfix, "/", program)};
  const bool sendmail = program == "sendmail";
  if (!programs_.postfix_config.empty()) {
    argv.insert(argv.end(), {sendmail ? "-C" : "-c", programs_.postfix_config});
  }
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

absl::StatusOr<std::string> MtaQueue::Run(const std::vector<std::string>& argv,
                                          absl::string_view input) {
  return commands_.Run(argv, input, Left());
}

absl::Duration MtaQueue::Left() const {
  return std::max(end_ - SystemClock().Elapsed(), absl::ZeroDuration());
}

std::string MtaQueue::PostfixOrigin() {
  if (programs_.postfix.empty()) return "";
  end_ = SystemClock().Elapsed() + kLimit;
  absl::StatusOr<std::string> said = Run(Postfix("postconf", {"-x", "-h", "myorigin"}));
  if (!said.ok()) return "";
  std::string origin(absl::StripAsciiWhitespace(*said));
  if (absl::StartsWith(origin, "/")) {  // a file; its first line is the name
    std::ifstream file(origin);
    std::getline(file, origin);
  }
  const absl::StatusOr<DomainName> domain = DomainName::Parse(absl::StripAsciiWhitespace(origin));
  return domain.ok() ? std::string(domain->text()) : "";
}

std::string MtaQueue::PostfixFolder() {
  if (programs_.postfix.empty()) return "";
  end_ = SystemClock().Elapsed() + kLimit;
  absl::StatusOr<std::string> said = Run(Postfix("postconf", {"-x", "-h", "queue_directory"}));
  return said.ok() ? std::string(absl::StripAsciiWhitespace(*said)) : "";
}

absl::StatusOr<std::vector<QueuedMail>> MtaQueue::List() {
  end_ = SystemClock().Elapsed() + kLimit;
  return ListWithin();
}

absl::StatusOr<std::vector<QueuedMail>> MtaQueue::ListWithin() {
  std::vector<QueuedMail> queue;
  if (!programs_.exim.empty()) {
    for (const bool held : {false, true}) {
      std::vector<std::string> arguments = {"-bpr"};
      if (held) arguments.insert(arguments.begin(), absl::StrCat("-qG", kHeldQueue));
      absl::StatusOr<std::string> listing = Run(Exim(arguments));
      if (!listing.ok()) return listing.status();
      AddEximQueue(*listing, held, &queue);
    }
  }
  if (!programs_.postfix.empty()) {
    absl::StatusOr<std::string> listing = Run(Postfix("postqueue", {"-j"}));
    if (!listing.ok()) return listing.status();
    AddPostfixQueue(*listing, &queue);
  }
  return queue;
}

// Exim continues with the next id if a message is missing or being delivered, and its exit status
// covers only the last id. The queue shows the result for each.
absl::Status MtaQueue::RunExim(bool held, std::vector<std::string> options,
                               const std::vector<std::string>& ids, std::string* said) {
  if (ids.empty()) return absl::OkStatus();
  if (held) options.insert(options.begin(), absl::StrCat("-qG", kHeldQueue));
  options.insert(options.end(), ids.begin(), ids.end());
  absl::StatusOr<Commands::Ended> ended = commands_.RunAnyhow(Exim(std::move(options)), "", Left());
  if (!ended.ok()) return ended.status();
  if (said != nullptr) absl::StrAppend(said, ended->output, "\n", ended->error, "\n");
  return absl::OkStatus();
}

namespace {

// The part of Exim's output that concerns the message. For a message that it has moved, Exim prints
// only "Message ID " and continues on the same line.
std::string MessageFor(absl::string_view said, const std::string& id) {
  constexpr absl::string_view kMessage = "Message ";
  for (absl::string_view line : absl::StrSplit(said, '\n')) {
    const size_t at = line.find(id);
    if (at == line.npos) continue;
    const size_t next = line.find(kMessage, at);
    const size_t begin = line.rfind(kMessage, at);
    line = line.substr(0, next).substr(begin == line.npos ? 0 : begin);
    line = absl::StripAsciiWhitespace(line);
    if (!absl::EndsWith(line, id)) return PrintableUtf8(line);
  }
  return "the mail server did not change the message; another process may be processing it";
}

}  // namespace

absl::Status MtaQueue::AddHeld(const Ids& ids, absl::string_view said, NotDone* found) {
  absl::StatusOr<std::vector<QueuedMail>> queue = ListOf(ids, /*held=*/true);
  if (!queue.ok()) return queue.status();
  for (const QueuedMail& mail : *queue) {
    if (mail.held) (*found)[mail.id] = MessageFor(said, mail.id);
  }
  return absl::OkStatus();
}

absl::Status MtaQueue::AddNotHeld(const Ids& ids, absl::string_view said, NotDone* found) {
  absl::StatusOr<std::vector<QueuedMail>> queue = ListOf(ids, /*held=*/false);
  if (!queue.ok()) return queue.status();
  for (const QueuedMail& mail : *queue) {
    if (!mail.held) (*found)[mail.id] = MessageFor(said, mail.id);
  }
  return absl::OkStatus();
}

// Exim can list single messages of its main queue only.
absl::StatusOr<std::vector<QueuedMail>> MtaQueue::ListOf(const Ids& ids, bool held) {
  std::vector<QueuedMail> queue;
  if (!ids.exim.empty()) {
    std::vector<std::string> arguments = {"-bpr"};
    if (held) {
      arguments.insert(arguments.begin(), absl::StrCat("-qG", kHeldQueue));
    } else {
      arguments.insert(arguments.end(), ids.exim.begin(), ids.exim.end());
    }
    absl::StatusOr<std::string> listing = Run(Exim(arguments));
    if (!listing.ok()) return listing.status();
    AddEximQueue(*listing, held, &queue);
  }
  if (!ids.postfix.empty()) {
    absl::StatusOr<std::string> listing = Run(Postfix("postqueue", {"-j"}));
    if (!listing.ok()) return listing.status();
    AddPostfixQueue(*listing, &queue);
  }
  absl::flat_hash_set<std::string> wanted(ids.exim.begin(), ids.exim.end());
  wanted.insert(ids.postfix.begin(), ids.postfix.end());
  queue.erase(std::remove_if(queue.begin(), queue.end(),
                             [&](const QueuedMail& mail) { return !wanted.contains(mail.id); }),
              queue.end());
  return queue;
}

absl::Status MtaQueue::ToMainQueue(const std::vector<std::string>& ids) {
  return RunExim(/*held=*/true, {"-MG", ""}, ids);
}

absl::Status MtaQueue::Postsuper(std::vector<std::string> arguments,
                                 const std::vector<std::string>& ids) {
  if (ids.empty()) return absl::OkStatus();
  return Run(Postfix("postsuper", std::move(arguments)),
             absl::StrCat(absl::StrJoin(ids, "\n"), "\n"))
      .status();
}

absl::Status MtaQueue::TryPostfix(const std::vector<std::string>& ids) {
  absl::Status status;
  for (const std::string& id : ids) {
    status.Update(Run(Postfix("postqueue", {"-i", id})).status());
  }
  return status;
}

absl::StatusOr<MtaQueue::NotDone> MtaQueue::Hold(const std::vector<std::string>& ids) {
  absl::StatusOr<Ids> sorted = Begin(ids);
  if (!sorted.ok()) return sorted.status();
  std::string said;
  NotDone not_done;
  absl::Status status = RunExim(/*held=*/false, {"-MG", kHeldQueue}, sorted->exim, &said);
  status.Update(Postsuper({"-h", "-"}, sorted->postfix));
  if (status.ok()) status = AddNotHeld(*sorted, said, &not_done);
  if (!status.ok()) return status;
  return not_done;
}

absl::StatusOr<MtaQueue::NotDone> MtaQueue::Release(const std::vector<std::string>& ids) {
  absl::StatusOr<Ids> sorted = Begin(ids);
  if (!sorted.ok()) return sorted.status();
  std::string said;
  NotDone not_done;
  absl::Status status = RunExim(/*held=*/true, {"-MG", ""}, sorted->exim, &said);
  status.Update(Postsuper({"-H", "-", "hold"}, sorted->postfix));
  if (status.ok()) status = AddHeld(*sorted, said, &not_done);
  std::vector<std::string> arguments = {"-M"};
  for (const std::string& id : sorted->exim) {
    if (!not_done.contains(id)) arguments.push_back(id);
  }
  if (status.ok() && arguments.size() > 1) {
    status = commands_.Start(Exim(std::move(arguments)));
    // Otherwise the next queue run delivers the message.
    if (absl::IsResourceExhausted(status)) status = absl::OkStatus();
  }
  status.Update(TryPostfix(sorted->postfix));
  if (!status.ok()) return status;
  return not_done;
}

absl::Status MtaQueue::Try(const std::vector<std::string>& ids) {
  absl::StatusOr<Ids> sorted = Begin(ids);
  if (!sorted.ok()) return sorted.status();
  return TryPostfix(sorted->postfix);
}

absl::StatusOr<MtaQueue::NotDone> MtaQueue::GiveBack(const std::vector<std::string>& ids) {
  absl::StatusOr<Ids> sorted = Begin(ids);
  if (!sorted.ok()) return sorted.status();
  std::string said;
  NotDone not_done;
  absl::Status status = RunExim(/*held=*/true, {"-Mg"}, sorted->exim, &said);
  status.Update(Postsuper({"-f", "-", "hold"}, sorted->postfix));
  if (status.ok()) status = AddHeld(*sorted, said, &not_done);
  status.Update(TryPostfix(sorted->postfix));
  if (!status.ok()) return status;
  return not_done;
}

absl::StatusOr<MtaQueue::NotDone> MtaQueue::Discard(const std::vector<std::string>& ids) {
  absl::StatusOr<Ids> sorted = Begin(ids);
  if (!sorted.ok()) return sorted.status();
  std::string said;
  NotDone not_done;
  absl::Status status = RunExim(/*held=*/true, {"-Mrm"}, sorted->exim, &said);
  status.Update(RunExim(/*held=*/false, {"-Mrm"}, sorted->exim, &said));
  status.Update(Postsuper({"-d", "-"}, sorted->postfix));
  if (status.ok()) status = AddHeld(*sorted, said, &not_done);
  if (status.ok()) status = AddNotHeld(*sorted, said, &not_done);
  if (!status.ok()) return status;
  return not_done;
}

absl::Status MtaQueue::Requeue(const std::string& id) {
  absl::StatusOr<Ids> sorted = Begin({id});
  if (!sorted.ok()) return sorted.status();
  if (sorted->postfix.empty()) {
    absl::Status status = ToMainQueue({id});
    status.Update(RunExim(/*held=*/false, {"-Mt"}, {id}));
    return status.ok() ? commands_.Start(Exim({"-M", id})) : status;
  }
  absl::Status status = Postsuper({"-r", "-"}, {id});
  return status.ok() ? TryPostfix({id}) : status;
}

absl::Status MtaQueue::Flush() {
  end_ = SystemClock().Elapsed() + kLimit;
  absl::Status status;
  if (!programs_.exim.empty()) status.Update(commands_.Start(Exim({"-qf"})));
  if (!programs_.postfix.empty()) {
    status.Update(Run(Postfix("postqueue", {"-f"})).status());
  }
  return status;
}

absl::Status MtaQueue::Redirect(const std::string& id, const std::string& address) {
  absl::StatusOr<Ids> sorted = Begin({id});
  if (!sorted.ok()) return sorted.status();
  if (!IsPlainAddress(address)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(address), " is not a plain address (example: ann@example.com)"));
  }
  absl::StatusOr<std::vector<QueuedMail>> queue = ListWithin();
  if (!queue.ok()) return queue.status();
  const auto mail = std::find_if(queue->begin(), queue->end(),
                                 [&](const QueuedMail& one) { return one.id == id; });
  if (mail == queue->end()) {
    return absl::NotFoundError(absl::StrCat(id, " is no longer in the queue"));
  }
  return sorted->postfix.empty() ? RedirectExim(*mail, address) : RedirectPostfix(*mail, address);
}

// Adds the new recipient first: Exim removes a message that has no recipients left.
absl::Status MtaQueue::RedirectExim(const QueuedMail& mail, const std::string& address) {
  if (mail.recipients.size() >= kMaxRecipients) {
    return absl::FailedPreconditionError(
        absl::StrCat(mail.id, ": redirect supports at most ", kMaxRecipients - 1, " recipients"));
  }
  absl::Status status = mail.held ? ToMainQueue({mail.id}) : absl::OkStatus();
  if (!status.ok()) return status;
  std::vector<std::string> others = {"-Mmd", mail.id};
  bool waits = false;  // for this address
  for (const std::string& recipient : mail.recipients) {
    if (absl::EqualsIgnoreCase(recipient, address)) {
      waits = true;
    } else {
      others.push_back(recipient);
    }
  }
  if (!waits) status = Run(Exim({"-Mar", mail.id, address})).status();
  if (status.ok() && others.size() > 2) status = Run(Exim(std::move(others))).status();
  return status.ok() ? commands_.Start(Exim({"-M", mail.id})) : status;
}

// Postfix cannot change a message's recipients. The message is submitted again, then removed.
absl::Status MtaQueue::RedirectPostfix(const QueuedMail& mail, const std::string& address) {
  if (!mail.sender.empty() && !IsPlainAddress(mail.sender)) {
    return absl::FailedPreconditionError(
        absl::StrCat(mail.id, ": cannot resubmit mail with the sender ", Quoted(mail.sender)));
  }
  absl::StatusOr<std::string> text = Run(Postfix("postcat", {"-bhq", mail.id}));
  if (!text.ok()) return text.status();
  // Puts the message on hold first, so that it is not delivered twice.
  absl::Status status = Postsuper({"-h", "-"}, {mail.id});
  if (!status.ok()) return status;
  const std::string sender = mail.sender.empty() ? "<>" : mail.sender;
  status = Run(Postfix("sendmail", {"-i", "-f", sender, "--", address}), *text).status();
  return status.ok() ? Postsuper({"-d", "-"}, {mail.id}) : status;
}

}  // namespace deferd

#include "limiter/app/mta_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "limiter/app/queue_list.h"
#include "limiter/intake/exim_line.h"
#include "limiter/intake/postfix_line.h"
#include "policy/domain_name.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr absl::Duration kLimit = absl::Seconds(20);  // of one program

}  // namespace

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

absl::StatusOr<MtaQueue::Ids> MtaQueue::Sorted(const std::vector<std::string>& ids) const {
  if (ids.empty()) return absl::InvalidArgumentError("no message is named");
  if (ids.size() > kMaxIds) {
    return absl::InvalidArgumentError(absl::StrCat("over ", kMaxIds, " messages at once"));
  }
  Ids sorted;
  for (const std::string& id : ids) {
    const bool exim = IsEximId(id);
    if (!exim && !IsPostfixId(id)) {
      return absl::InvalidArgumentError(absl::StrCat(Quoted(id), " is no message id"));
    }
    if ((exim ? programs_.exim : programs_.postfix).empty()) {
      return absl::InvalidArgumentError(absl::StrCat(id, " is an id of ", exim ? "Exim" : "Postfix",
                                                     ", which deferd-queue was not told of"));
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

absl::StatusOr<std::vector<QueuedMail>> MtaQueue::List() {
  std::vector<QueuedMail> queue;
  if (!programs_.exim.empty()) {
    for (const bool held : {false, true}) {
      std::vector<std::string> arguments = {"-bp"};
      if (held) arguments.insert(arguments.begin(), absl::StrCat("-qG", kHeldQueue));
      absl::StatusOr<std::string> listing = commands_.Run(Exim(arguments), "", kLimit);
      if (!listing.ok()) return listing.status();
      AddEximQueue(*listing, held, &queue);
    }
  }
  if (!programs_.postfix.empty()) {
    absl::StatusOr<std::string> listing = commands_.Run(Postfix("postqueue", {"-j"}), "", kLimit);
    if (!listing.ok()) return listing.status();
    AddPostfixQueue(*listing, &queue);
  }
  return queue;
}

// Exim goes on to the next id when one is gone or being delivered, and its status tells of the last
// alone: the next listing tells what became of each.
absl::Status MtaQueue::RunExim(bool held, std::vector<std::string> options,
                               const std::vector<std::string>& ids) {
  if (ids.empty()) return absl::OkStatus();
  if (held) options.insert(options.begin(), absl::StrCat("-qG", kHeldQueue));
  options.insert(options.end(), ids.begin(), ids.end());
  const absl::Status status = commands_.Run(Exim(std::move(options)), "", kLimit).status();
  return absl::IsDeadlineExceeded(status) ? status : absl::OkStatus();
}

absl::Status MtaQueue::ToMainQueue(const std::vector<std::string>& ids) {
  return RunExim(/*held=*/true, {"-MG", ""}, ids);
}

absl::Status MtaQueue::Postsuper(const char* option, const std::vector<std::string>& ids) {
  if (ids.empty()) return absl::OkStatus();
  return commands_
      .Run(Postfix("postsuper", {option, "-"}), absl::StrCat(absl::StrJoin(ids, "\n"), "\n"),
           kLimit)
      .status();
}

absl::Status MtaQueue::TryPostfix(const std::vector<std::string>& ids) {
  absl::Status status;
  for (const std::string& id : ids) {
    status.Update(commands_.Run(Postfix("postqueue", {"-i", id}), "", kLimit).status());
  }
  return status;
}

absl::Status MtaQueue::Hold(const std::vector<std::string>& ids) {
  absl::StatusOr<Ids> sorted = Sorted(ids);
  if (!sorted.ok()) return sorted.status();
  absl::Status status = RunExim(/*held=*/false, {"-MG", kHeldQueue}, sorted->exim);
  status.Update(Postsuper("-h", sorted->postfix));
  return status;
}

absl::Status MtaQueue::Release(const std::vector<std::string>& ids) {
  absl::StatusOr<Ids> sorted = Sorted(ids);
  if (!sorted.ok()) return sorted.status();
  absl::Status status = ToMainQueue(sorted->exim);
  if (status.ok() && !sorted->exim.empty()) {
    std::vector<std::string> arguments = {"-M"};
    arguments.insert(arguments.end(), sorted->exim.begin(), sorted->exim.end());
    status = commands_.Start(Exim(std::move(arguments)));
    // It goes out with the next queue run then.
    if (absl::IsResourceExhausted(status)) status = absl::OkStatus();
  }
  status.Update(Postsuper("-H", sorted->postfix));
  status.Update(TryPostfix(sorted->postfix));
  return status;
}

absl::Status MtaQueue::GiveBack(const std::vector<std::string>& ids) {
  absl::StatusOr<Ids> sorted = Sorted(ids);
  if (!sorted.ok()) return sorted.status();
  absl::Status status = RunExim(/*held=*/true, {"-Mg"}, sorted->exim);
  status.Update(Postsuper("-f", sorted->postfix));
  status.Update(TryPostfix(sorted->postfix));
  return status;
}

absl::Status MtaQueue::Discard(const std::vector<std::string>& ids) {
  absl::StatusOr<Ids> sorted = Sorted(ids);
  if (!sorted.ok()) return sorted.status();
  absl::Status status = RunExim(/*held=*/true, {"-Mrm"}, sorted->exim);
  status.Update(RunExim(/*held=*/false, {"-Mrm"}, sorted->exim));
  status.Update(Postsuper("-d", sorted->postfix));
  return status;
}

absl::Status MtaQueue::Requeue(const std::string& id) {
  absl::StatusOr<Ids> sorted = Sorted({id});
  if (!sorted.ok()) return sorted.status();
  if (sorted->postfix.empty()) {
    absl::Status status = RunExim(/*held=*/false, {"-Mt"}, {id});
    return status.ok() ? commands_.Start(Exim({"-M", id})) : status;
  }
  absl::Status status = Postsuper("-r", {id});
  return status.ok() ? TryPostfix({id}) : status;
}

absl::Status MtaQueue::Flush() {
  absl::Status status;
  if (!programs_.exim.empty()) status.Update(commands_.Start(Exim({"-qf"})));
  if (!programs_.postfix.empty()) {
    status.Update(commands_.Run(Postfix("postqueue", {"-f"}), "", kLimit).status());
  }
  return status;
}

absl::Status MtaQueue::Redirect(const std::string& id, const std::string& address) {
  absl::StatusOr<Ids> sorted = Sorted({id});
  if (!sorted.ok()) return sorted.status();
  if (!IsPlainAddress(address)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(address), " is no plain address; write it as ann@example.com"));
  }
  absl::StatusOr<std::vector<QueuedMail>> queue = List();
  if (!queue.ok()) return queue.status();
  const auto mail = std::find_if(queue->begin(), queue->end(),
                                 [&](const QueuedMail& one) { return one.id == id; });
  if (mail == queue->end()) {
    return absl::NotFoundError(absl::StrCat(id, " is not in the queue any more"));
  }
  return sorted->postfix.empty() ? RedirectExim(*mail, address) : RedirectPostfix(*mail, address);
}

// The new recipient first: Exim is done with a message that has none left.
absl::Status MtaQueue::RedirectExim(const QueuedMail& mail, const std::string& address) {
  if (mail.recipients.size() >= kMaxRecipients) {
    return absl::FailedPreconditionError(
        absl::StrCat(mail.id, " has over ", kMaxRecipients - 1, " recipients"));
  }
  absl::Status status = mail.held ? ToMainQueue({mail.id}) : absl::OkStatus();
  if (!status.ok()) return status;
  status = commands_.Run(Exim({"-Mar", mail.id, address}), "", kLimit).status();
  if (!status.ok()) return status;
  std::vector<std::string> done = {"-Mmd", mail.id};
  done.insert(done.end(), mail.recipients.begin(), mail.recipients.end());
  status = commands_.Run(Exim(std::move(done)), "", kLimit).status();
  return status.ok() ? commands_.Start(Exim({"-M", mail.id})) : status;
}

// Postfix cannot change a message's recipients: its text is sent anew, and then it is removed.
absl::Status MtaQueue::RedirectPostfix(const QueuedMail& mail, const std::string& address) {
  if (!mail.sender.empty() && !IsPlainAddress(mail.sender)) {
    return absl::FailedPreconditionError(
        absl::StrCat(mail.id, ": its sender ", Quoted(mail.sender), " cannot be given on"));
  }
  absl::StatusOr<std::string> text =
      commands_.Run(Postfix("postcat", {"-bhq", mail.id}), "", kLimit);
  if (!text.ok()) return text.status();
  // Aside first, so that it does not go out twice.
  absl::Status status = Postsuper("-h", {mail.id});
  if (!status.ok()) return status;
  const std::string sender = mail.sender.empty() ? "<>" : mail.sender;
  status = commands_.Run(Postfix("sendmail", {"-i", "-f", sender, "--", address}), *text, kLimit)
               .status();
  return status.ok() ? Postsuper("-d", {mail.id}) : status;
}

}  // namespace deferd

#include "limiter/app/sender_table.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"
#include "policy/domain_name.h"
#include "policy/refusal_text.h"
#include "policy/text.h"

namespace deferd {

namespace {

absl::Status CheckLine(const std::string& domain, const std::string& text) {
  const absl::StatusOr<DomainName> name = DomainName::Parse(domain);
  if (!name.ok() || name->text() != domain) {
    return absl::InvalidArgumentError(absl::StrCat(Quoted(domain), " is no domain"));
  }
  if (text.empty() || text != PrintableAscii(text, kMaxRefusalText)) {
    return absl::InvalidArgumentError(
        absl::StrCat(domain, ": the text is not one line of printable ASCII"));
  }
  return absl::OkStatus();
}

absl::Status FileError(const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
}

}  // namespace

absl::Status SenderTable::Open(absl::Time now) {
  MutexLock lock(&mutex_);
  said_ = now;
  return Write({});
}

absl::Status SenderTable::Set(const std::map<std::string, std::string>& domains, absl::Time now) {
  for (const auto& [domain, text] : domains) {
    absl::Status status = CheckLine(domain, text);
    if (!status.ok()) return status;
  }
  MutexLock lock(&mutex_);
  said_ = now;
  const bool there = access(absl::StrCat(path_, ".db").c_str(), F_OK) == 0;
  if (there && domains_ == domains) return absl::OkStatus();
  if (!failed_.ok() && now - failed_at_ < kAgain) return failed_;
  failed_ = Write(domains);
  failed_at_ = now;
  return failed_;
}

absl::Status SenderTable::Tick(absl::Time now) {
  MutexLock lock(&mutex_);
  if (now - said_ < kTrusted || (domains_.has_value() && domains_->empty())) {
    return absl::OkStatus();
  }
  spdlog::warn("deferd has said nothing for {}: Postfix puts off nobody's mail any more",
               absl::FormatDuration(absl::Trunc(now - said_, absl::Seconds(1))));
  said_ = now;  // an error is not told at every tick
  return Write({});
}

absl::Status SenderTable::Write(const std::map<std::string, std::string>& domains) {
  const std::string fresh = absl::StrCat(path_, ".new");
  {
    std::ofstream file(fresh, std::ios::trunc);
    file << "# Written by deferd-queue; see deploy/postfix/held.cf.\n";
    for (const auto& [domain, text] : domains) {
      file << "@" << domain << " " << kTransport << ":" << text << "\n";
    }
    file.close();
    if (!file) return FileError(fresh);
  }
  std::vector<std::string> argv = postmap_;
  argv.push_back(absl::StrCat("hash:", fresh));
  const absl::Status made = commands_.Run(argv, "", kLimit).status();
  if (!made.ok()) return made;
  for (const char* suffix : {".db", ""}) {
    const std::string from = absl::StrCat(fresh, suffix), to = absl::StrCat(path_, suffix);
    // Postfix's own user reads it.
    if (chmod(from.c_str(), 0644) != 0 || rename(from.c_str(), to.c_str()) != 0) {
      return FileError(to);
    }
  }
  domains_ = domains;
  spdlog::info("Postfix puts off the mail of {} domains", domains.size());
  return absl::OkStatus();
}

}  // namespace deferd

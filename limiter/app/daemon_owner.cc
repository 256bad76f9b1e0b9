#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "exporter/api/owner_link.h"
#include "exporter/console/owner_page.h"
#include "limiter/admin/owner_evidence.h"
#include "limiter/app/running_daemon.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/log.h"

namespace deferd {

// A key that cannot be read switches the page off: mail is more than that.
std::unique_ptr<OwnerLinks> RunningDaemon::MakeOwnerLinks() const {
  if (config_.owner_page.empty()) return nullptr;
  absl::StatusOr<std::unique_ptr<OwnerLinks>> links = OwnerLinks::Open(
      config_.owner_page, config_.owner_key, absl::StrCat(config_.state_dir, "/owner-links.key"));
  if (links.ok()) return *std::move(links);
  spdlog::error("the owner's page is off: {}", links.status().message());
  return nullptr;
}

void RunningDaemon::OpenOwnerPage() {
  if (owner_links_ == nullptr) return;
  OwnerPage::Parts parts;
  parts.links = owner_links_.get();
  parts.clock = &clock_;
  parts.caller = caller_.get();
  parts.find_case = [this](const std::string& id) { return cases_.FindById(id); };
  parts.policy = [this] { return limiter_.settings().policy; };
  parts.last_release = [this](const Subject& subject) {
    absl::Time last = absl::InfinitePast();
    for (const CaseEvent& event : cases_.EventsOf(subject, CaseTable::kMaxHistory)) {
      const Case& record = event.record;
      if (record.state == CaseState::kClosed && record.closed_by == kOwnerName) {
        last = std::max(last, record.closed_at);
      }
    }
    return last;
  };
  parts.why_not = [this](const Case& record, absl::Time now) {
    return WhyOwnerMayNotEnd(
        {.limiter = &limiter_,
         .ledger = reader_.get(),
         .receipt = [this](const Case& one) { return committer_.ReceiptOf(one); },
         .freshness = &freshness_,
         .node = state_dir_->node()},
        record, now);
  };
  parts.release = [this](const Case& record) {
    const Json args = {{"subject", record.subject.ToString()},
                       {"case", record.id},
                       {"reason", "released on the owner's page"}};
    return api_.Handle("unblock", args, {.name = kOwnerName}).status();
  };
  owner_page_ = std::make_unique<OwnerPage>(std::move(parts));
}

absl::StatusOr<Json> RunningDaemon::OwnerLinkVerb(const Json& args, const std::string& person) {
  if (owner_links_ == nullptr) {
    return absl::FailedPreconditionError(
        "the owner's page is off: its key cannot be read; deferd's log says why");
  }
  const std::string action = Field(args, "do"), name = Field(args, "subject");
  if (action == "revoke") {
    if (absl::Status revoked = owner_links_->Revoke(); !revoked.ok()) return revoked;
    spdlog::info("all links to owners' pages revoked by {}", person);
    return Json{{"revoked", true}};
  }
  if (action != "make") {
    return absl::InvalidArgumentError("link: unknown action (expected make or revoke)");
  }
  absl::StatusOr<Subject> subject = Subject::Parse(name);
  if (!subject.ok()) return subject.status();
  const std::optional<Case> open = cases_.FindOpen(*subject, /*shadow=*/false);
  if (!open.has_value() || open->exempts()) {
    return absl::NotFoundError(absl::StrCat(subject->ToString(), ": no case is open"));
  }
  const std::string named = Field(args, "named_case");
  if (!named.empty() && named != open->id) {
    return absl::NotFoundError(absl::StrCat(subject->ToString(), ": case ", named,
                                            " is not open; now case ", open->id, " is"));
  }
  const absl::Time now = clock_.Now();
  const std::string link = owner_links_->LinkTo(open->id, *subject, now);
  if (link.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        subject->ToString(), ": owners' pages are for domains, their logins and their forwards"));
  }
  spdlog::info("link to the owner's page of {} ({}) made by {}", subject->ToString(), open->id,
               person);
  return Json{
      {"subject", subject->ToString()},
      {"case", open->id},
      {"link", link},
      {"expires", FormatUtc(absl::FromUnixSeconds(absl::ToUnixSeconds(now + OwnerLinks::kLife)))}};
}

std::string RunningDaemon::OwnerLinkFor(const Notice& notice, const std::string& address,
                                        bool named) const {
  if (owner_links_ == nullptr ||
      (notice.kind != NoticeKind::kBlocked && notice.kind != NoticeKind::kExtended)) {
    return "";
  }
  const absl::StatusOr<Subject> subject = Subject::Parse(notice.subject);
  if (!subject.ok() || !OwnerLinks::IsOutside(address, *subject, named)) return "";
  // The notice's thread is its case.
  return owner_links_->LinkTo(notice.thread, *subject, clock_.Now());
}

}  // namespace deferd

// Links to the owner's page (exporter/console/owner_page.h): each opens exactly one case.
//
// A link is BASE/case/CLAIM.MAC. The claim names the case, its subject and the time when the link
// expires; the MAC is the HMAC-SHA256 of the claim under a key of 256 bits that no other part of
// deferd uses. Nothing is stored of a link, so all of them are revoked at once, by a new key.
//
// Safe from any thread.

#ifndef DEFERD_EXPORTER_API_OWNER_LINK_H_
#define DEFERD_EXPORTER_API_OWNER_LINK_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/port/mutex.h"
#include "policy/subject.h"

namespace deferd {

class OwnerLinks {
 public:
  static constexpr absl::Duration kLife = absl::Hours(24 * 7);
  static constexpr size_t kMaxLink = 2000;  // bytes of a claim with its MAC
  static constexpr char kPath[] = "/case/";

  struct Claim {
    std::string case_id;
    Subject subject;
    absl::Time expires;
  };

  // `base`: "https://mail.example.net", without a slash at its end. `key_file`: the operator's, who
  // alone changes it; empty: `own_file`, which is made (mode 0600) if it is missing.
  // FailedPrecondition if the key cannot be read, is shorter than 32 bytes, or may be read by
  // strangers.
  static absl::StatusOr<std::unique_ptr<OwnerLinks>> Open(std::string base,
                                                          const std::string& key_file,
                                                          const std::string& own_file);

  // Whether there is a page for such a subject: a domain, or a login or forwarded mail of one.
  // Names of other kinds are free text, so nobody could say whose they are.
  static bool Serves(const Subject& subject);
  // Whether mail to the address stays out of the reach of whoever sends as the subject: it is in no
  // name of the subject's domain. `named`: the operator names this address as the owner's, who then
  // may read it in the domain of a blocked login, but not in the login's own mailbox.
  static bool IsOutside(absl::string_view address, const Subject& subject, bool named);

  // The whole link; "" if Serves says no, or the library fails.
  std::string LinkTo(absl::string_view case_id, const Subject& subject, absl::Time now) const;
  // Of the part behind kPath. nullopt: not made with this key, or it has expired.
  std::optional<Claim> Check(absl::string_view link, absl::Time now) const;
  // What a form of that page carries, so that no other page can send it.
  std::string FormSecret(absl::string_view link) const;

  // Makes a new key, so that no link that was given out opens anything. FailedPrecondition if the
  // key is the operator's, or cannot be written; the old one stays in force then.
  absl::Status Revoke();

 private:
  OwnerLinks(std::string base, std::string own_file, std::string key)
      : base_(std::move(base)), own_file_(std::move(own_file)), key_(std::move(key)) {}

  // In base 64; "" if the library fails. `purpose` keeps MACs of links and forms apart.
  std::string Mac(absl::string_view purpose, absl::string_view text) const;

  const std::string base_;
  const std::string own_file_;  // empty: the key is the operator's
  mutable Mutex mutex_;
  std::string key_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_OWNER_LINK_H_

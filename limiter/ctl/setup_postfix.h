// How `deferctl setup postfix` finds Postfix's instances and what it changes in main.cf and
// master.cf.

#ifndef DEFERD_LIMITER_CTL_SETUP_POSTFIX_H_
#define DEFERD_LIMITER_CTL_SETUP_POSTFIX_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "limiter/ctl/setup_machine.h"

namespace deferd {

// One instance (postmulti(1)); a machine without several has one.
struct PostfixFound {
  std::string config;           // its folder
  std::string queue_directory;  // below which a chrooted smtpd sees files
  std::string data_restrictions;
  std::string sender_maps;  // sender_dependent_default_transport_maps
  std::string maillog_file;
  bool chroot = false;  // of an smtpd
  bool runs = false;
  int port = 0;                         // of the first smtpd or postscreen in master.cf; 0: none
  bool takes_mail = false;              // there, before anything is written
  std::vector<std::string> overriding;  // services whose -o replaces the restrictions
};

class PostfixSetup {
 public:
  // `config`: one instance's folder; empty: all that are found.
  PostfixSetup(SetupMachine* machine, std::string config)
      : machine_(machine), given_(std::move(config)) {}

  absl::Status Find();  // NotFound: there is no Postfix here
  const std::vector<PostfixFound>& found() const { return found_; }
  std::vector<std::string> LocalDomains();  // names and files
  std::vector<std::string> Notes();

  // `doors`: deferd's addresses for Postfix; an instance asks at the one below its own queue
  // directory, else at the first. `held`: deferd-queue keeps its table of senders here.
  absl::Status Plan(const std::vector<std::string>& doors, bool held, SetupPlan* plan);
  // `names`: of blocks; none given: all.
  absl::Status PlanUndo(const std::vector<std::string>& names, SetupPlan* plan);

  // Each instance would take the plan's changes, as a copy of its folder shows.
  absl::Status Rehearse(const SetupPlan& plan);
  absl::Status Check();  // postfix check, of each instance
  // postfix reload, of each that ran; postfix start, if it has ended since.
  absl::Status Activate();
  // Before anything is written: whether each instance takes mail.
  void LookBefore();
  // Each that ran still runs, and takes mail if it did.
  absl::Status IsWell();
  std::string HeldMail();

 private:
  absl::Status CheckFolder(const std::string& config);
  std::string Value(const std::string& config, const std::string& name);
  absl::Status PlanMain(const PostfixFound& one, absl::string_view name, absl::string_view key,
                        const std::string& first, SetupPlan* plan);

  SetupMachine* const machine_;
  const std::string given_;
  std::vector<PostfixFound> found_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_POSTFIX_H_

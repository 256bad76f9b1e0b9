// The findings of `deferctl doctor` about the mail servers' own configuration: how they ask deferd,
// what happens to mail when it is away, and what else limits mail here.
//
// Pure but for FindMailServers: they read text that doctor_instances.cc gathered. The forms are
// those of Exim's specification, chapter 11 (${readsocket), and of postconf(5) and
// SMTPD_POLICY_README.

#ifndef DEFERD_LIMITER_CTL_DOCTOR_MTA_H_
#define DEFERD_LIMITER_CTL_DOCTOR_MTA_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/ctl/doctor.h"

namespace deferd {

// A check_policy_service of Postfix: its address and the attributes beside it, as written.
struct PolicyService {
  std::string address;
  std::string attributes;
};
std::vector<PolicyService> PolicyServicesOf(absl::string_view restrictions);

// How many arguments each ${readsocket of `config` that names one of `doors` has.
std::vector<int> ReadsocketArguments(absl::string_view config,
                                     const std::vector<std::string>& doors);

// The mail servers that `options` name, else those of this machine, one entry an instance.
void FindMailServers(const DoctorOptions& options, DoctorFacts* facts);

// Each instance and each listener apart: mta_wiring.h, socket_access.h.
void LookAtExim(const DoctorFacts& facts, DoctorReport* report);
void LookAtPostfix(const DoctorFacts& facts, DoctorReport* report);
// The net for mail that it does not ask about: the helper's table, and what else is looked up
// there.
void LookAtSenderTable(const DoctorFacts& facts, DoctorReport* report);
void LookAtOtherLimiters(const DoctorFacts& facts, DoctorReport* report);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_DOCTOR_MTA_H_

// The engine's part of the extension.
#pragma once

#include <nanobind/nanobind.h>

namespace graphkit {

void bind_engine(nanobind::module_& module);
// Its parts.
void bind_pairs(nanobind::module_& module);
void bind_rank_counts(nanobind::module_& module);
void bind_losses(nanobind::module_& module);
void bind_beta_moments(nanobind::module_& module);
void bind_branch_attention(nanobind::module_& module);
void bind_rows(nanobind::module_& module);
void bind_sparse_optimizers(nanobind::module_& module);

}  // namespace graphkit

// What tch does not bind: a node of autograd whose backward pass is Rust's, oneDNN's product of matrices, libtorch's
// threads, and the kinds of numbers that it multiplies in. See unbound.rs, which alone calls this.

#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <cstddef>
#include <exception>
#include <memory>
#include <vector>

using at::Tensor;
using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

namespace {

// Takes the inputs and the output's gradient over. On entry `gradients[i]` is null where nobody wants it; the callee puts
// new tensors where it is not.
using Backward = void (*)(const void* state, Tensor** inputs, size_t count, Tensor* gradient, Tensor** gradients);
using Drop = void (*)(void* state);

struct RustNode final : Node {
  std::vector<SavedVariable> inputs;
  std::unique_ptr<void, Drop> state;
  Backward backward;
  bool again;

  RustNode(void* state, Backward backward, Drop drop, bool again)
      : state(state, drop), backward(backward), again(again) {}

  variable_list apply(variable_list&& of_output) override {
    TORCH_CHECK(again || !at::GradMode::is_enabled(), "a node of the program has no second derivative");
    variable_list found(inputs.size());
    if (!of_output[0].defined()) return found;
    std::vector<Tensor*> given, wanted(inputs.size());
    Tensor wish;
    for (size_t i = 0; i < inputs.size(); ++i) {
      given.push_back(new Tensor(inputs[i].unpack()));
      wanted[i] = task_should_compute_output(i) ? &wish : nullptr;
    }
    backward(state.get(), given.data(), given.size(), new Tensor(of_output[0]), wanted.data());
    for (size_t i = 0; i < found.size(); ++i) {
      if (wanted[i] == nullptr || wanted[i] == &wish) continue;
      found[i] = std::move(*wanted[i]);
      delete wanted[i];
    }
    return found;
  }

  void release_variables() override {
    for (auto& input : inputs) input.reset_data();
  }
};

}  // namespace

// Makes `value`, which nothing has recorded yet, the result of a node with these inputs; takes `state` over. `again` says
// whether the backward pass is recorded where one goes through it. Does nothing where no gradient can be asked for. False
// after an exception.
extern "C" bool gantlet_attach(Tensor* value, Tensor* const* inputs, size_t count, void* state, Backward backward,
                               Drop drop, bool again) {
  std::unique_ptr<void, Drop> owned(state, drop);
  try {
    variable_list all;
    bool asked = false;
    for (size_t i = 0; i < count; ++i) {
      all.push_back(*inputs[i]);
      asked = asked || inputs[i]->requires_grad();
    }
    if (!asked || !at::GradMode::is_enabled()) return true;
    std::shared_ptr<RustNode> node(new RustNode(owned.release(), backward, drop, again), torch::autograd::deleteNode);
    node->set_next_edges(torch::autograd::collect_next_edges(all));
    for (auto& input : all) node->inputs.emplace_back(input, false);
    torch::autograd::set_history(*value, node);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

// Whether this thread records operations, and whether it computes products on the CPU in bfloat16.
extern "C" bool gantlet_recording() { return at::GradMode::is_enabled(); }
extern "C" bool gantlet_is_bfloat16() { return at::autocast::is_autocast_enabled(at::kCPU); }

// x·w + bias run by run, of [R, m, k], [R, k, n] and [R, n] or null; null after an exception. oneDNN makes its kernels for
// the processor that it finds; the products of MKL are half as fast where that is not Intel's.
extern "C" Tensor* gantlet_product(const Tensor* x, const Tensor* w, const Tensor* bias, bool onednn) {
  using Pointwise = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, c10::string_view,
                           c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);
  try {
    at::NoGradGuard guard;
    static const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    auto dense = [](Tensor t) { return t.is_contiguous() || t.t().is_contiguous() ? t : t.contiguous(); };
    std::vector<Tensor> out;
    for (int64_t run = 0; run < x->size(0); ++run) {
      const Tensor a = dense(x->select(0, run)), b = dense(w->select(0, run));
      const auto c = bias ? std::optional<Tensor>(bias->select(0, run)) : std::nullopt;
      if (onednn && found) {
        out.push_back(found->typed<Pointwise>().call(a, b.t(), c, "none", c10::List<std::optional<at::Scalar>>(), ""));
      } else {
        out.push_back(c ? at::addmm(*c, a, b) : at::mm(a, b));
      }
    }
    return new Tensor(out.size() == 1 ? out[0].unsqueeze(0) : at::stack(out));
  } catch (const std::exception&) {
    return nullptr;
  }
}

// Calls `work` with ranges that make up [0, count), on libtorch's threads. An iteration over so many bytes is the way to
// them that is compiled into the library: the template at::parallel_for would want OpenMP of the compiler here. False after
// an exception.
extern "C" bool gantlet_parallel(size_t count, const void* state, void (*work)(const void*, size_t begin, size_t end)) {
  try {
    at::NoGradGuard guard;
    Tensor places = at::empty({static_cast<int64_t>(count)}, at::kByte);
    auto iterator = at::TensorIterator::nullary_op(places);
    const char* first = static_cast<const char*>(places.data_ptr());
    iterator.for_each(
        [&](char** at, const int64_t*, int64_t n) {
          const size_t begin = at[0] - first;
          work(state, begin, begin + n);
        },
        /*grain_size=*/1);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

// Whether products and convolutions on the device are computed in bfloat16 from now on, by this thread.
extern "C" void gantlet_bfloat16(bool on, bool cuda) {
  const auto device = cuda ? at::kCUDA : at::kCPU;
  if (on) {
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::increment_nesting();
  } else if (at::autocast::decrement_nesting() == 0) {
    at::autocast::clear_cache();
  }
  at::autocast::set_autocast_enabled(device, on);
}

// Switches autocast for the device on or off, for this thread, and returns whether it was on.
extern "C" bool gantlet_autocast(bool on, bool cuda) {
  const auto device = cuda ? at::kCUDA : at::kCPU;
  const bool before = at::autocast::is_autocast_enabled(device);
  at::autocast::set_autocast_enabled(device, on);
  return before;
}

// Whether CUDA's products and convolutions of float32 numbers may leave out 13 bits of their fractions.
extern "C" bool gantlet_allows_tf32() {
  return at::globalContext().allowTF32CuBLAS() || at::globalContext().allowTF32CuDNN();
}

extern "C" void gantlet_tf32(bool on) {
  at::globalContext().setAllowTF32CuBLAS(on);
  at::globalContext().setAllowTF32CuDNN(on);
}

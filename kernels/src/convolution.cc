// oneDNN's two-dimensional convolution and its two gradients, as XLA custom calls.
//
// Images are (N, C, H, W) and lie in memory as (N, H, W, C); weights are (O, C / groups, KH, KW)
// and lie as written. All are float32, or images, weights and bias are bfloat16; sums and the
// gradients of weights and bias are always float32. The images of a batch are shared out among XLA's
// threads; each thread runs oneDNN on its part, sequentially. Some are computed by Winograd's algorithm
// instead, which is in winograd.cc.

#include <dnnl.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "convolution.h"
#include "images.h"
#include "loops.h"
#include "onednn.h"
#include "parallel.h"
#include "scratch.h"
#include "winograd.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;
using dnnl::memory;
using tag = memory::format_tag;

void Validate(const Geometry& g) {
  for (int64_t size : {g.n, g.c, g.h, g.w, g.o, g.kh, g.kw, g.oh, g.ow, g.groups})
    Require(size > 0 && size < (int64_t{1} << 31), "a size is out of range");
  Require(g.c % g.groups == 0 && g.o % g.groups == 0, "groups do not divide the channels");
  const int64_t in[2] = {g.h, g.w}, window[2] = {g.kh, g.kw}, out[2] = {g.oh, g.ow};
  for (int i = 0; i < 2; ++i) {
    Require(g.stride[i] > 0 && g.dilation[i] > 0, "stride and dilation must be positive");
    Require(g.before[i] >= 0 && g.after[i] >= 0, "padding must not be negative");
    const int64_t reach = g.dilation[i] * (window[i] - 1) + 1;
    Require((in[i] + g.before[i] + g.after[i] - reach) / g.stride[i] + 1 == out[i] &&
                in[i] + g.before[i] + g.after[i] >= reach,
            "the output's size does not follow from the input's");
  }
}

// One convolution of fixed geometry, on one thread.
class Convolution {
 public:
  explicit Convolution(const Geometry& g) {
    const OneThread one_thread;
    const memory::dims x{g.n, g.c, g.h, g.w}, y{g.n, g.o, g.oh, g.ow}, bias{g.o};
    const memory::dims w = g.groups == 1
                               ? memory::dims{g.o, g.c, g.kh, g.kw}
                               : memory::dims{g.groups, g.o / g.groups, g.c / g.groups, g.kh, g.kw};
    const auto f32 = memory::data_type::f32, type = g.is_short ? memory::data_type::bf16 : f32;
    const bool is_sum = g.kind == static_cast<int64_t>(Kind::kWeightGradient);
    const auto type_w = is_sum ? f32 : type;
    x_ = memory::desc(x, type, tag::nhwc);
    y_ = memory::desc(y, type, tag::nhwc);
    bias_ = g.bias ? memory::desc(bias, type_w, tag::x) : memory::desc();
    given_w_ = memory::desc(w, type_w, g.groups == 1 ? tag::oihw : tag::goihw);
    const memory::desc any_w(w, type_w, tag::any);
    // What a gradient's primitive is told of the forward pass: there all are of one type.
    const memory::desc forward_w(w, type, tag::any),
        forward_bias = g.bias ? memory::desc(bias, type, tag::x) : memory::desc();
    const memory::dims stride{g.stride[0], g.stride[1]}, before{g.before[0], g.before[1]},
        after{g.after[0], g.after[1]}, dilation{g.dilation[0] - 1, g.dilation[1] - 1};
    const auto algorithm = dnnl::algorithm::convolution_direct;

    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::convolution_forward::primitive_desc forward(
        Engine(),
        g.kind == static_cast<int64_t>(Kind::kForward) ? dnnl::prop_kind::forward_inference
                                                       : dnnl::prop_kind::forward_training,
        algorithm, x_, forward_w, forward_bias, y_, stride, dilation, before, after,
        g.kind == static_cast<int64_t>(Kind::kForward) ? attributes : dnnl::primitive_attr());
    switch (static_cast<Kind>(g.kind)) {
      case Kind::kForward:
        Take<dnnl::convolution_forward>(forward);
        break;
      case Kind::kInputGradient:
        Take<dnnl::convolution_backward_data>(dnnl::convolution_backward_data::primitive_desc(
            Engine(), algorithm, x_, any_w, y_, stride, dilation, before, after, forward,
            attributes));
        break;
      case Kind::kWeightGradient:
        Take<dnnl::convolution_backward_weights>(
            dnnl::convolution_backward_weights::primitive_desc(
                Engine(), algorithm, x_, any_w, bias_, y_, stride, dilation, before, after,
                forward, attributes),
            true);
        break;
      default:
        Require(false, "an unknown kind of convolution");
    }
    if (w_ != given_w_) {
      const bool out = g.kind == static_cast<int64_t>(Kind::kWeightGradient);
      dnnl::primitive_attr user;
      user.set_scratchpad_mode(dnnl::scratchpad_mode::user);
      const dnnl::reorder::primitive_desc reorder(Engine(), out ? w_ : given_w_, Engine(),
                                                  out ? given_w_ : w_, user);
      reorder_scratchpad_ = reorder.scratchpad_desc();
      reorder_ = dnnl::reorder(reorder);
    }
  }

  const std::string& implementation() const { return implementation_; }
  size_t weight_bytes() const { return w_.get_size(); }
  bool reorders() const { return w_ != given_w_; }

  // Weights from the order given to the one that the primitive wants, or back.
  void Reorder(const void* from, void* to, bool back = false) const {
    const OneThread one_thread;
    memory source(back ? w_ : given_w_, Engine(), const_cast<void*>(from));
    memory target(back ? given_w_ : w_, Engine(), to);
    const Scratch own(reorder_scratchpad_.get_size());
    memory scratchpad(reorder_scratchpad_, Engine(), own.get());
    reorder_.execute(Stream(), {{DNNL_ARG_FROM, source},
                                {DNNL_ARG_TO, target},
                                {DNNL_ARG_SCRATCHPAD, scratchpad}});
  }

  void Run(const std::vector<std::pair<int, const void*>>& arguments) const {
    const OneThread one_thread;
    std::unordered_map<int, memory> memories;
    for (const auto& [name, data] : arguments)
      memories.emplace(name, memory(Descriptor(name), Engine(), const_cast<void*>(data)));
    const Scratch own(scratchpad_.get_size());
    memories.emplace(DNNL_ARG_SCRATCHPAD, memory(scratchpad_, Engine(), own.get()));
    primitive_.execute(Stream(), memories);
  }

 private:
  template <typename Primitive, typename Description>
  void Take(const Description& description, bool weights_out = false) {
    w_ = weights_out ? description.query_md(dnnl::query::diff_weights_md)
                     : description.weights_desc();
    scratchpad_ = description.scratchpad_desc();
    implementation_ = description.impl_info_str();
    primitive_ = Primitive(description);
  }

  const memory::desc& Descriptor(int name) const {
    switch (name) {
      case DNNL_ARG_SRC:
      case DNNL_ARG_DIFF_SRC:
        return x_;
      case DNNL_ARG_DST:
      case DNNL_ARG_DIFF_DST:
        return y_;
      case DNNL_ARG_BIAS:
      case DNNL_ARG_DIFF_BIAS:
        return bias_;
      default:
        return w_;
    }
  }

  memory::desc x_, y_, bias_, given_w_, w_, scratchpad_, reorder_scratchpad_;
  dnnl::primitive primitive_;
  dnnl::reorder reorder_;
  std::string implementation_;
};

// So many numbers of a part's results are still in the cache when the convolution is done.
constexpr int64_t kCached = 1 << 18;

// How a batch is shared out: parts of equal size, the last one maybe smaller.
struct Parts {
  int64_t count, size, last;
  std::shared_ptr<const Convolution> convolution, last_convolution;

  // `most` limits the images of a part; it has one in any case.
  Parts(Geometry g, const ffi::ThreadPool& pool, int64_t most) {
    const int64_t n = g.n, work = n * g.o * g.oh * g.ow * (g.c / g.groups) * g.kh * g.kw;
    const int64_t wanted = Slices(pool, n, work / 16);
    size = std::max<int64_t>(1, std::min((n + wanted - 1) / wanted, most));
    count = (n + size - 1) / size;
    last = n - (count - 1) * size;
    g.n = size;
    convolution = Cached<Convolution>(g);
    g.n = last;
    last_convolution = last == size ? convolution : Cached<Convolution>(g);
  }

  const Convolution& operator[](int64_t part) const {
    return part == count - 1 ? *last_convolution : *convolution;
  }
};

Geometry GeometryOf(Kind kind, ffi::Span<const int64_t> x, ffi::Span<const int64_t> w,
                    ffi::Span<const int64_t> y, Numbers window, bool bias, bool is_short) {
  Require(x.size() == 4 && w.size() == 4 && y.size() == 4, "images and filters have four axes");
  Require(window.size() == 9, "the attribute `window` must have 9 numbers");
  Geometry g{};
  g.kind = static_cast<int64_t>(kind);
  g.n = x[0], g.c = x[1], g.h = x[2], g.w = x[3];
  g.o = w[0], g.kh = w[2], g.kw = w[3];
  g.oh = y[2], g.ow = y[3];
  for (int i = 0; i < 2; ++i) {
    g.stride[i] = window[i];
    g.before[i] = window[2 + i];
    g.after[i] = window[4 + i];
    g.dilation[i] = window[6 + i];
  }
  g.groups = window[8];
  g.bias = bias;
  g.is_short = is_short;
  Validate(g);
  Require(y[0] == g.n && y[1] == g.o && w[1] == g.c / g.groups, "the shapes do not fit together");
  return g;
}

// The weights as the parts want them: at most two orders, because there are at most two sizes.
class OrderedWeights {
 public:
  OrderedWeights(const Parts& parts, const void* given) {
    first_ = Order(*parts.convolution, given, first_memory_);
    last_ = parts.last_convolution == parts.convolution
                ? first_
                : Order(*parts.last_convolution, given, last_memory_);
  }
  const void* For(const Parts& parts, int64_t part) const {
    return part == parts.count - 1 ? last_ : first_;
  }

 private:
  static const void* Order(const Convolution& convolution, const void* given, Scratch& memory) {
    if (!convolution.reorders()) return given;
    memory = Scratch(convolution.weight_bytes());
    convolution.Reorder(given, memory.get());
    return memory.get();
  }

  Scratch first_memory_, last_memory_;
  const void *first_, *last_;
};

ffi::Error Forward(ffi::ThreadPool pool, Some x, Some w, Some b, Numbers window, bool relu,
                   int64_t winograd, ffi::Result<Some> y) {
  return Guarded("convolution", [&] {
    const bool bias = b.element_count() > 0;
    const Geometry g = GeometryOf(Kind::kForward, x.dimensions(), w.dimensions(),
                                  y->dimensions(), window, bias, IsShort(x));
    for (const Some& other : {w, b, *y})
      Require(IsShort(other) == IsShort(x), "the types differ");
    Require(!bias || static_cast<int64_t>(b.element_count()) == g.o, "the bias has a wrong size");
    if (TakesWinograd(g, winograd) &&
        WinogradForward(pool, g, Data<float>(x), Data<float>(w), bias ? Data<float>(b) : nullptr,
                        relu, Data<float>(*y)))
      return;
    const int64_t image = g.o * g.oh * g.ow;
    const Parts parts(g, pool, relu ? kCached / image : g.n);
    const OrderedWeights weights(parts, w.untyped_data());
    const int64_t x_step = parts.size * g.c * g.h * g.w, y_step = parts.size * image;
    Parallel(pool, parts.count, [&](int64_t part) {
      std::vector<std::pair<int, const void*>> arguments{
          {DNNL_ARG_SRC, Place(x, part * x_step)},
          {DNNL_ARG_WEIGHTS, weights.For(parts, part)},
          {DNNL_ARG_DST, Place(*y, part * y_step)}};
      if (bias) arguments.emplace_back(DNNL_ARG_BIAS, b.untyped_data());
      parts[part].Run(arguments);
      // oneDNN has a ReLU of its own, of which NaN comes out as 0.
      const int64_t images = part == parts.count - 1 ? parts.last : parts.size;
      if (!relu) return;
      WithTypeOf(*y, [&](auto number) {
        using Number = decltype(number);
        BestLoops().Of<Number>().rectify(Data<Number>(*y) + part * y_step, images * image);
      });
    });
  });
}

ffi::Error InputGradient(ffi::ThreadPool pool, Some dy, Some w, Numbers window,
                         int64_t winograd, ffi::Result<Some> dx) {
  return Guarded("convolution", [&] {
    const Geometry g = GeometryOf(Kind::kInputGradient, dx->dimensions(), w.dimensions(),
                                  dy.dimensions(), window, false, IsShort(dy));
    Require(IsShort(w) == IsShort(dy) && IsShort(*dx) == IsShort(dy), "the types differ");
    if (TakesWinograd(g, winograd) &&
        WinogradInputGradient(pool, g, Data<float>(dy), Data<float>(w), Data<float>(*dx)))
      return;
    const Parts parts(g, pool, g.n);
    const OrderedWeights weights(parts, w.untyped_data());
    const int64_t x_step = parts.size * g.c * g.h * g.w, y_step = parts.size * g.o * g.oh * g.ow;
    Parallel(pool, parts.count, [&](int64_t part) {
      parts[part].Run({{DNNL_ARG_DIFF_DST, Place(dy, part * y_step)},
                       {DNNL_ARG_WEIGHTS, weights.For(parts, part)},
                       {DNNL_ARG_DIFF_SRC, Place(*dx, part * x_step)}});
    });
  });
}

ffi::Error WeightGradient(ffi::ThreadPool pool, Some x, Some dy, Numbers window,
                          int64_t winograd, ffi::Result<Image> dw, ffi::Result<Vector> db) {
  return Guarded("convolution", [&] {
    const bool bias = db->element_count() > 0;
    const Geometry g = GeometryOf(Kind::kWeightGradient, x.dimensions(), dw->dimensions(),
                                  dy.dimensions(), window, bias, IsShort(x));
    Require(IsShort(dy) == IsShort(x), "the types differ");
    Require(!bias || static_cast<int64_t>(db->element_count()) == g.o,
            "the bias has a wrong size");
    if (TakesWinograd(g, winograd) &&
        WinogradWeightGradient(pool, g, Data<float>(x), Data<float>(dy), dw->typed_data(),
                               bias ? db->typed_data() : nullptr))
      return;
    if (UnfoldsForWeights(g))
      return UnfoldedWeightGradient(pool, g, Data<Bfloat16>(x), Data<Bfloat16>(dy),
                                    dw->typed_data(), bias ? db->typed_data() : nullptr);
    const Parts parts(g, pool, g.n);
    const int64_t x_step = parts.size * g.c * g.h * g.w, y_step = parts.size * g.o * g.oh * g.ow;
    const int64_t count = static_cast<int64_t>(dw->element_count());
    // Each part has a sum of its own; the first one's is where the total will be.
    const int64_t stride = count + g.o;
    const Scratch sums(static_cast<size_t>(stride * (parts.count - 1)) * sizeof(float));
    const auto weight_sum = [&](int64_t part) {
      return part == 0 ? dw->typed_data() : static_cast<float*>(sums.get()) + (part - 1) * stride;
    };
    const auto bias_sum = [&](int64_t part) {
      return part == 0 ? db->typed_data() : weight_sum(part) + count;
    };
    Parallel(pool, parts.count, [&](int64_t part) {
      const Convolution& convolution = parts[part];
      Scratch own;
      void* target = weight_sum(part);
      if (convolution.reorders()) {
        own = Scratch(convolution.weight_bytes());
        target = own.get();
      }
      std::vector<std::pair<int, const void*>> arguments{
          {DNNL_ARG_SRC, Place(x, part * x_step)},
          {DNNL_ARG_DIFF_DST, Place(dy, part * y_step)},
          {DNNL_ARG_DIFF_WEIGHTS, target}};
      if (bias) arguments.emplace_back(DNNL_ARG_DIFF_BIAS, bias_sum(part));
      convolution.Run(arguments);
      if (convolution.reorders()) convolution.Reorder(target, weight_sum(part), true);
    });
    // Summed in the parts' order, whichever thread was first: the result is always the same.
    const int64_t slices = Slices(pool, count, count * parts.count);
    const int64_t slice = (count + slices - 1) / slices;
    Parallel(pool, slices, [&](int64_t i) {
      for (int64_t part = 1; part < parts.count; ++part) {
        const float* more = weight_sum(part);
        float* total = dw->typed_data();
        const int64_t end = std::min(count, (i + 1) * slice);
        for (int64_t k = i * slice; k < end; ++k) total[k] += more[k];
      }
    });
    if (bias)
      for (int64_t part = 1; part < parts.count; ++part)
        for (int64_t k = 0; k < g.o; ++k) db->typed_data()[k] += bias_sum(part)[k];
  });
}

}  // namespace

// The symbols that the Python package hands to jax.

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_convolution, Forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Attr<Numbers>("window")
                                  .Attr<bool>("relu")
                                  .Attr<int64_t>("winograd")
                                  .Ret<Some>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_convolution_input_gradient, InputGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Attr<Numbers>("window")
                                  .Attr<int64_t>("winograd")
                                  .Ret<Some>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_convolution_weight_gradient, WeightGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Attr<Numbers>("window")
                                  .Attr<int64_t>("winograd")
                                  .Ret<Image>()
                                  .Ret<Vector>());

// The name of oneDNN's implementation of a convolution of one image, into `name`; false and the
// reason if there is none. `numbers` are kind, n, c, h, w, o, kh, kw, oh, ow, the window,
// and whether the numbers are short.
extern "C" bool singa_convolution_implementation(const int64_t* numbers, char* name,
                                                 int64_t capacity) {
  const auto tell = [&](const std::string& text) {
    std::snprintf(name, static_cast<size_t>(capacity), "%s", text.c_str());
  };
  try {
    Geometry g{};
    g.kind = numbers[0], g.n = numbers[1], g.c = numbers[2], g.h = numbers[3], g.w = numbers[4];
    g.o = numbers[5], g.kh = numbers[6], g.kw = numbers[7], g.oh = numbers[8], g.ow = numbers[9];
    for (int i = 0; i < 2; ++i) {
      g.stride[i] = numbers[10 + i];
      g.before[i] = numbers[12 + i];
      g.after[i] = numbers[14 + i];
      g.dilation[i] = numbers[16 + i];
    }
    g.groups = numbers[18];
    g.is_short = numbers[19];
    Validate(g);
    tell(Cached<Convolution>(g)->implementation());
    return true;
  } catch (const std::exception& error) {
    tell(error.what());
    return false;
  }
}

}  // namespace singa

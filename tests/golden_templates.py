"""What every named template must write, by hand from its family's documentation and not by the code under test.

The conversation is system "Be brief.", user "Hi", assistant "Hello.", user "Bye", with a generation prompt; the tokenizer
puts <s> before texts and has </s> as its eos.
"""

from dataclasses import dataclass, field

VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
CURIOUS = VICUNA.replace("user", "human")
ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
QWEN = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
SMOLLM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
CODER = (
    "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek Company, and you only "
    "answer questions related to computer science. For politically sensitive questions, security and privacy issues, and "
    "other non-computer science questions, you will refuse to answer\n"
)
CHATML = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
)
CHATML_SINGLE = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
SINGLE_THOUGHTLESS = (
    "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nHello.<|im_end|>\n"
)


@dataclass(frozen=True)
class Golden:
    """A template's text.

    `talk` is the conversation (without its system message where the template has no place for one), `single` one question
    with its answer and no system message. `lead` and `tail` stand around an answer without being part of it; `trims` says
    that white space around the turns is taken off, `rewrites` that earlier answers stand there in another form.
    """

    talk: str
    single: str
    stop: str = "</s>"
    system: bool = True
    lead: str = ""
    tail: str = ""
    trims: bool = False
    rewrites: bool = False
    more_stops: tuple[str, ...] = field(default=())


GOLDEN = {
    "alpaca": Golden(
        "<s>Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello.</s>\n\n### Instruction:\nBye\n\n### Response:\n",
        f"<s>{ALPACA}\n\n### Instruction:\nHi\n\n### Response:\nHello.</s>\n\n",
    ),
    "aquila": Golden(
        "<s>Be brief.###Human: Hi###Assistant: Hello.</s>Human: Bye###Assistant:",
        f"<s>{CURIOUS}###Human: Hi###Assistant: Hello.</s>",
        lead=" ",
    ),
    "baichuan": Golden(
        "<s>Be brief.<reserved_102>Hi<reserved_103>Hello.<reserved_102>Bye<reserved_103>",
        "<s><reserved_102>Hi<reserved_103>Hello.</s>",
        rewrites=True,
    ),
    "baichuan2": Golden(
        "<s>Be brief.<reserved_106>Hi<reserved_107>Hello.<reserved_106>Bye<reserved_107>",
        "<s><reserved_106>Hi<reserved_107>Hello.</s>",
        rewrites=True,
    ),
    "belle": Golden(
        "<s>Human: Hi\n\nBelle: Hello.</s>\n\nHuman: Bye\n\nBelle: ",
        "<s>Human: Hi\n\nBelle: Hello.</s>\n\n",
        system=False,
    ),
    "chatglm": Golden(
        "[Round 0]\n问：Hi\n答：Hello.\n[Round 1]\n问：Bye\n答：[gMASK]<sop>",
        "Hi[gMASK]<sop>Hello.</s>",
        system=False,
        rewrites=True,
    ),
    "chatglm2": Golden(
        "[gMASK]sop[Round 1]\n\n问：Hi\n\n答：Hello.\n\n[Round 2]\n\n问：Bye\n\n答：",
        "[gMASK]sop[Round 1]\n\n问：Hi\n\n答：Hello.</s>",
        system=False,
        rewrites=True,
    ),
    "chatglm3": Golden(
        "[gMASK]sop<|system|>\n Be brief.<|user|>\n Hi<|assistant|>\n Hello.<|user|>\n Bye<|assistant|>",
        "[gMASK]sop<|user|>\n Hi<|assistant|>\n Hello.<|user|>",
        stop="<|user|>",
        lead="\n ",
        more_stops=("<|observation|>",),
    ),
    "chatml": Golden(f"<s>{CHATML}", f"<s>{CHATML_SINGLE}", stop="<|im_end|>"),
    "cohere": Golden(
        "<s><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>Be brief.<|END_OF_TURN_TOKEN|>"
        "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hi<|END_OF_TURN_TOKEN|>"
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>Hello.<|END_OF_TURN_TOKEN|>"
        "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Bye<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        "<s><|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hi<|END_OF_TURN_TOKEN|>"
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>Hello.<|END_OF_TURN_TOKEN|>",
        stop="<|END_OF_TURN_TOKEN|>",
        trims=True,
    ),
    "deepseek": Golden(
        "<s>Be brief.\n\nUser: Hi\n\nAssistant: Hello.</s>User: Bye\n\nAssistant:",
        "<s>User: Hi\n\nAssistant: Hello.</s>",
        lead=" ",
    ),
    "deepseek3": Golden(
        "<s>Be brief.<｜User｜>Hi<｜Assistant｜>Hello.</s><｜User｜>Bye<｜Assistant｜>",
        "<s><｜User｜>Hi<｜Assistant｜>Hello.</s>",
    ),
    "deepseekcoder": Golden(
        "<s>Be brief.### Instruction:\nHi\n### Response:\nHello.\n<|EOT|>\n### Instruction:\nBye\n### Response:\n",
        f"<s>{CODER}### Instruction:\nHi\n### Response:\nHello.\n<|EOT|>\n",
        stop="<|EOT|>",
        tail="\n",
    ),
    "gemma": Golden(
        "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n"
        "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n",
        "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n",
        stop="<end_of_turn>",
        trims=True,
    ),
    "glm4": Golden(
        "[gMASK]<sop><|system|>\nBe brief.<|user|>\nHi<|assistant|>\nHello.<|user|>\nBye<|assistant|>\n",
        "[gMASK]<sop><|user|>\nHi<|assistant|>\nHello.<|user|>",
        stop="<|user|>",
        more_stops=("<|observation|>",),
    ),
    "internlm": Golden(
        "<s><|System|>:Be brief.\n<|User|>:Hi\n<|Bot|>:Hello.<eoa>\n<|User|>:Bye\n<|Bot|>:",
        "<s><|User|>:Hi\n<|Bot|>:Hello.<eoa>\n",
        stop="<eoa>",
        more_stops=("<|User|>",),
    ),
    "internlm2": Golden(f"<s>{CHATML}", f"<s>{CHATML_SINGLE}", stop="<|im_end|>"),
    "linly": Golden("<s>User: Hi\nBot: Hello.</s>\nUser: Bye\nBot: ", "<s>User: Hi\nBot: Hello.</s>\n", system=False),
    "llama2": Golden(
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] Bye [/INST]",
        "<s>[INST] Hi [/INST] Hello. </s>",
        trims=True,
    ),
    "llama2-zh": Golden(
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] Bye [/INST]",
        "<s>[INST] <<SYS>>\nYou are a helpful assistant. 你是一个乐于助人的助手。\n<</SYS>>\n\nHi [/INST] Hello. </s>",
        trims=True,
    ),
    "llama3": Golden(
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>",
        stop="<|eot_id|>",
        trims=True,
    ),
    "mistral": Golden(
        "<s>[INST] Hi[/INST] Hello.</s>[INST] Be brief.\n\nBye[/INST]",
        "<s>[INST] Hi[/INST] Hello.</s>",
        trims=True,
        rewrites=True,  # the system message moves on to the last question
    ),
    "orion": Golden(
        "<s>Human: Hi\n\nAssistant: </s>Hello.</s>Human: Bye\n\nAssistant: </s>",
        "<s>Human: Hi\n\nAssistant: </s>Hello.</s>",
        system=False,
    ),
    "phoenix": Golden(
        "<s>Be brief.\n\nHuman: <s>Hi</s>Assistant: <s>Hello.</s>Human: <s>Bye</s>Assistant: <s>",
        f"<s>{CURIOUS}\n\nHuman: <s>Hi</s>Assistant: <s>Hello.</s>",
    ),
    "plain": Golden("<s>Be brief.\nHi\nHello.</s>\nBye\n", "<s>Hi\nHello.</s>\n"),
    "qwen": Golden(f"<s>{CHATML}", f"<s><|im_start|>system\n{QWEN}<|im_end|>\n{CHATML_SINGLE}", stop="<|im_end|>"),
    "qwen3": Golden(f"<s>{CHATML}", SINGLE_THOUGHTLESS, stop="<|im_end|>", trims=True, rewrites=True),
    "qwen3-nothink": Golden(
        f"<s>{CHATML}<think>\n\n</think>\n\n", SINGLE_THOUGHTLESS, stop="<|im_end|>", trims=True, rewrites=True
    ),
    "qwen3.5": Golden(f"<s>{CHATML}<think>\n", SINGLE_THOUGHTLESS, stop="<|im_end|>", trims=True, rewrites=True),
    "qwen3.5-nothink": Golden(
        f"<s>{CHATML}<think>\n\n</think>\n\n", SINGLE_THOUGHTLESS, stop="<|im_end|>", trims=True, rewrites=True
    ),
    "smollm": Golden(f"<s>{CHATML}", f"<s><|im_start|>system\n{SMOLLM}<|im_end|>\n{CHATML_SINGLE}", stop="<|im_end|>"),
    "starchat": Golden(
        "<s><|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello.<|end|>\n<|user|>\nBye<|end|>\n<|assistant|>",
        "<s><|system|>\n<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello.<|end|>\n",
        stop="<|end|>",
        lead="\n",
    ),
    "vicuna": Golden(
        "<s>Be brief. USER: Hi ASSISTANT: Hello.</s>USER: Bye ASSISTANT:",
        f"<s>{VICUNA} USER: Hi ASSISTANT: Hello.</s>",
        lead=" ",
    ),
    "xverse": Golden(
        "<s>Human: Hi\n\nAssistant: Hello.</s>Human: Bye\n\nAssistant: ",
        "<s>Human: Hi\n\nAssistant: Hello.</s>",
        system=False,
    ),
    "yi": Golden(f"<s>{CHATML}", f"<s>{CHATML_SINGLE}", stop="<|im_end|>"),
    "ziya": Golden(
        "<s><human>:Hi\n<bot>:Hello.</s><human>:Bye\n<bot>:",
        "<s><human>:Hi\n<bot>:Hello.</s>",
        system=False,
        trims=True,
    ),
}

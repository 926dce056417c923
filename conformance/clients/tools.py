"""What the scenarios share."""
import subprocess


def run(words, environment, check=True):
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done
